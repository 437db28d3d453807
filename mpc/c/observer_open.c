/* Open-loop observer with a disturbance on every output: OffsetFreeObserver. */

/* x and d from the input held since the last step and the measurement y (scaled); 0 if a channel is missing */
static int observe(mpc_t *m, const double *y) {
  int first = !m->started;
  if (first) rest(m, y);
  else advance(m, m->u_prev);
  int complete = innovation(m, y, first);
  for (int j = 0; j < NY; ++j) m->d_n[j] += gain[j] * m->e[j], m->d[j] = y_range[j] * m->d_n[j];
  return complete;
}
