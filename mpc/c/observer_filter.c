/* Filters for z = [x; d], d_k the disturbance of the output with disturbed[j] = k > 0. The text of filters.py in C. */

/* what follows from x and d */
static void show_estimate(mpc_t *m) {
  outputs_at(m, m->x, m->y);
  for (int j = 0; j < NY; ++j) m->d[j] = y_range[j] * m->d_n[j];
}

/* z moves by the correction dz; not, and 0, where that is not finite */
static int move_estimate(mpc_t *m, const double *dz) {
  int finite = all_finite(NF, dz);
  for (int i = 0; finite && i < BX; ++i) m->x[i] += dz[i];
  for (int j = 0; finite && j < NY; ++j)
    if (disturbed[j]) m->d_n[j] += dz[BX + disturbed[j] - 1];
  show_estimate(m);
  return finite;
}
