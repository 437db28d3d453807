/* One gain: DisturbanceObserver. The text of ekf.py in C. */

/* x and d from the input held since the last step and the measurement y (scaled); 0 if a channel is missing */
static int observe(mpc_t *m, const double *y) {
  int first = !m->started;
  double dz[NF];
  if (first) rest(m, y);
  else advance(m, m->u_prev);
  int complete = innovation(m, y, first);
  for (int i = 0; i < NF; ++i) dz[i] = dot(NY, gain[i], m->e);
  move_estimate(m, dz);
  return complete;
}
