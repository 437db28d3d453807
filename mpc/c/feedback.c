/* A real-time iteration in two parts: what can be done before the state is known, and the rest of it.

   Reference: Diehl, Bock, Schloeder (2005), SIAM J. Control Optim. 43, 1714-1736. */

/* x and y, moved along the linearisation to the state and the output disturbance of p */
static void move_start(const Now *p, Work *w) {
  double dx[NX], next[NX];
  for (int i = 0; i < NX; ++i) dx[i] = p->x[i] - w->x[0][i];
  memcpy(w->x[0], p->x, sizeof p->x);
  for (int k = 0; k < N; ++k) {
    memset(next, 0, sizeof next);
    add_product(NX, NX, 1, w->J[k], dx, NX, next, NX);
    for (int i = 0; i < NX; ++i) w->x[k + 1][i] += next[i];
    for (int j = 0; j < NG; ++j) w->y[k][j] += p->d[j] - w->d[j];
    add_product(NG, NX, 1, w->C[k], next, NX, w->y[k], NG);
    memcpy(dx, next, sizeof next);
  }
  memcpy(w->d, p->d, sizeof p->d);
}

/* derivatives along U (NV) from the x and d that p foresees, and the Hessian's factor; 0 if there is none */
static int get_ready(const Settings *s, const Now *p, Work *w, const double *U) {
  linearise(p, w, U);
  gauss_newton(s, p, w);
  return factor(w, 0);
}

/* U becomes the end of a whole step from what get_ready found at U; its states and outputs are
   left in x_try, y_try. Where that costs more than U itself, p is too far from what was foreseen: an iteration from U. */
static int feed_back(const Settings *s, const Now *p, Work *w, double *U, double *report, double tol) {
  move_start(p, w);
  double before = cost(s, p, w, U, w->x, w->y), after = INFINITY;
  gradient(s, p, w, U);
  set_rows(s, p, w, U);
  if (fabs(before) < 1e300 && qp_solve(&w->q, s->penalty)) after = cost_at(s, p, w, U, 1);
  if (!(after <= before)) return optimise(s, p, w, U, report, 1, tol, INFINITY);
  memcpy(U, w->U_try, sizeof w->U_try);
  report[0] = after, report[1] = 1;
  return STOPPED;
}
