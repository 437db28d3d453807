/* Extended Kalman filter: EKF. */

/* x and d from the input held since the last step and the measurement y (scaled); 0 if a channel is missing */
static int observe(mpc_t *m, const double *y) {
  int first = !m->started;
  if (first) {
    rest(m, y);
    for (int i = 0; i < NF; ++i) m->P[i * NF + i] = start_variance[i];
  } else predict(m, m->u_prev);
  int complete = innovation(m, y, first);
  correct_estimate(m, y);
  return complete;
}
