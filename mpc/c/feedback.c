/* A real-time iteration in two parts: what can be done before the state is known, and the rest of it.

   States and outputs are the model's own, from the state that was found; only their derivatives, and the Hessian, are
   those of the forecast: to move by derivatives of the state would read all of J, which is longer than the model.
   Reference: Diehl, Bock, Schloeder (2005), SIAM J. Control Optim. 43, 1714-1736. */

/* derivatives along U (NV) from the x and d that p foresees, and the Hessian's factor; 0 if there is none */
static int get_ready(const Settings *s, const Now *p, Work *w, const double *U) {
  linearise(p, w, U);
  gauss_newton(s, p, w);
  return factor(w, 0);
}

/* U becomes the end of a whole step with what get_ready found at U; its states and outputs are left in x_try, y_try.
   Where that costs more than U itself, p is too far from what was foreseen: an iteration from U. */
static int feed_back(const Settings *s, const Now *p, Work *w, double *U, double *report, double tol) {
  roll(p, w, U);
  memcpy(w->x, w->x_try, sizeof w->x);
  memcpy(w->y, w->y_try, sizeof w->y);
  double before = cost(s, p, w, U, w->x, w->y), after = INFINITY;
  gradient(s, p, w, U);
  set_rows(s, p, w, U);
  if (fabs(before) < 1e300 && qp_solve(&w->q, s->penalty)) after = cost_at(s, p, w, U, 1);
  if (!(after <= before)) return optimise(s, p, w, U, report, 1, tol, INFINITY);
  memcpy(U, w->U_try, sizeof w->U_try);
  report[0] = after, report[1] = 1;
  return STOPPED;
}
