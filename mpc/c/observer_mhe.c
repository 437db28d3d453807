/* Moving horizon estimation: MHE. The text of mhe.py in C; x and d are those of now, P and w->prior those of an extended
   Kalman filter that runs WINDOW steps behind. */

static void take_estimate(const mpc_t *m, double *z) {
  memcpy(z, m->x, sizeof m->x);
  for (int j = 0; j < NY; ++j)
    if (disturbed[j]) z[BX + disturbed[j] - 1] = m->d_n[j];
}

static void give_estimate(mpc_t *m, const double *z) {
  memcpy(m->x, z, sizeof m->x);
  for (int j = 0; j < NY; ++j) m->d_n[j] = disturbance(z, j);
}

/* the oldest measurement and input of the window are summarised */
static void absorb(mpc_t *m) {
  Window *w = &m->window;
  double now[NF];
  take_estimate(m, now);
  give_estimate(m, w->prior);
  innovation(m, w->y[0], 0);
  correct_estimate(m, w->y[0]);
  predict(m, w->u[0]);
  take_estimate(m, w->prior);
  give_estimate(m, now);
  memmove(w->u[0], w->u[1], (WINDOW - 1) * sizeof w->u[0]);
  memmove(w->y[0], w->y[1], WINDOW * sizeof w->y[0]);
  --w->steps;
}

/* x and d from the input held since the last step and the measurement y (scaled); 0 if a channel is missing. Where the
   window is not solved, the estimate goes on open loop. */
static int observe(mpc_t *m, const double *y) {
  Window *w = &m->window;
  int first = !m->started;
  if (first) {
    rest(m, y);
    for (int i = 0; i < NF; ++i) m->P[i * NF + i] = start_variance[i];
  } else {
    if (w->steps == WINDOW) absorb(m);
    memcpy(w->u[w->steps++], m->u_prev, sizeof w->u[0]);
    advance(m, m->u_prev);
  }
  int complete = innovation(m, y, first);
  if (first) take_estimate(m, w->prior);
  memcpy(w->y[w->steps], y, sizeof w->y[0]);
  if (solve_window(m)) give_estimate(m, w->to.z[w->steps]);
  show_estimate(m);
  return complete;
}
