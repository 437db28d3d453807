/* What observers of constant disturbances of the outputs share: the start from rest, and the innovation. */

/* x where the held input leads from x_start */
static void rest_at_input(mpc_t *m) {
  double before[BX];
  for (int turn = 0; turn < REST_TURNS; ++turn) {
    memcpy(before, m->x, sizeof before);
    advance(m, m->u_prev);
    if (stands(m, before)) return;
  }
  memcpy(m->x, start, sizeof m->x);
}

/* the state at rest before the first measurement */
static void rest(mpc_t *m, const double *y) {
  if (m->has_u) rest_at_input(m);
  else rest_at_output(m, y);
}

/* e = y - g(x) - d, zero where y (scaled) is missing; at first d explains y where there is one; 0 if a channel is missing */
static int innovation(mpc_t *m, const double *y, int first) {
  int complete = 1;
  outputs_at(m, m->x, m->y);
  for (int j = 0; j < NY; ++j) {
    int seen = isfinite(y[j]) ? 1 : 0;
    complete = complete && seen;
    if (first) m->d_n[j] = seen && disturbed[j] ? y[j] - m->y[j] : 0;
    m->e[j] = seen ? y[j] - m->y[j] - m->d_n[j] : 0;
  }
  m->started = 1;
  return complete;
}
