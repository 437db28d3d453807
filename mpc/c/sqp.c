/* Sequential quadratic programming on the moves U: linearise, solve the QP, go as far as the cost falls. */

#define SOLVED 0
#define STOPPED 1 /* by max_iter: U is the best so far */
#define TIMED_OUT 2
#define STUCK 3 /* no step lowers the cost */
#define BROKEN 4 /* the model returns NaN, or the QP cannot be solved */
#define SUFFICIENT 1e-4 /* share of the promised decrease that a step must keep */
#define ROUNDING 1e-13 /* of the cost */
#define LAST 1e-6 /* the last step, which promises nearly nothing, may cost this: it is taken whole */
#define FLAT 1e-6 /* least curvature, as a share of the largest */
#define MARGIN 100 /* tol is this much smaller than what was asked for, which will do where more costs too much: */
#define PATIENCE 10 /* after so many iterations, or where no step lowers the cost any more */
#define SURE 1e-6 /* promised decreases beyond this are no ground to foresee the next */
#define SLOW 0.1 /* Gauss-Newton is slow when the promised decrease falls by less than this factor */

static double clip(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

/* the moves nearest to U, one after the other, that keep box and rates */
static void limit(const Settings *s, const Now *p, double *U) {
  for (int v = 0; v < NV; ++v) {
    int i = v % NU;
    double last = v < NU ? p->u_prev[i] : U[v - NU];
    U[v] = clip(clip(U[v], last + s->fall[i], last + s->rise[i]), s->u_low[i] + p->shift[i], s->u_high[i] + p->shift[i]);
  }
}

static void set_rows(const Settings *s, const Now *p, Work *w, const double *U) {
  QP *q = &w->q;
  for (int v = 0; v < NV; ++v) {
    int i = v % NU, r = NV + v;
    double du = U[v] - (v < NU ? p->u_prev[i] : U[v - NU]);
    q->low[v] = s->u_low[i] + p->shift[i] - U[v], q->high[v] = s->u_high[i] + p->shift[i] - U[v];
    q->low[r] = s->fall[i] < -1e299 ? -1e300 : s->fall[i] - du;
    q->high[r] = s->rise[i] > 1e299 ? 1e300 : s->rise[i] - du;
  }
  for (int k = 0; k < N; ++k)
    for (int j = 0; j < NG; ++j) {
      int r = NV + RATES + k * NG + j;
      q->low[r] = s->y_low[j] < -1e299 ? -1e300 : s->y_low[j] - w->y[k][j];
      q->high[r] = s->y_high[j] > 1e299 ? 1e300 : s->y_high[j] - w->y[k][j];
    }
}

/* A = V diag(w) V' by Jacobi's rotations: A (n, n) ends as diag(w), V has the eigenvectors as rows */
static void eigen(double *A, double *V) {
  for (int v = 0; v < NV * NV; ++v) V[v] = v % (NV + 1) == 0;
  for (int sweep = 0; sweep < 12; ++sweep)
    for (int p = 0; p < NV; ++p)
      for (int q = p + 1; q < NV; ++q) {
        double off = A[p * NV + q];
        if (fabs(off) < 1e-15 * (fabs(A[p * NV + p]) + fabs(A[q * NV + q]))) continue;
        double ratio = (A[q * NV + q] - A[p * NV + p]) / (2 * off);
        double t = (ratio < 0 ? -1 : 1) / (fabs(ratio) + sqrt(1 + ratio * ratio)), c = 1 / sqrt(1 + t * t), s = c * t;
        for (int k = 0; k < NV; ++k) {
          double x = A[k * NV + p], y = A[k * NV + q];
          A[k * NV + p] = c * x - s * y, A[k * NV + q] = s * x + c * y;
        }
        for (int k = 0; k < NV; ++k) {
          double x = A[p * NV + k], y = A[q * NV + k], v = V[p * NV + k], w = V[q * NV + k];
          A[p * NV + k] = c * x - s * y, A[q * NV + k] = s * x + c * y;
          V[p * NV + k] = c * v - s * w, V[q * NV + k] = s * v + c * w;
        }
      }
}

/* H with the sign of its negative eigenvalues turned: where the cost bends down, a step as short as it bends */
static void turn(QP *q, double *A, double *V) {
  double largest = 0;
  for (int v = 0; v < NV; ++v)
    for (int l = 0; l <= v; ++l) A[v * NV + l] = A[l * NV + v] = q->H[v * NV + l];
  eigen(A, V);
  for (int v = 0; v < NV; ++v) largest = fmax(largest, fabs(A[v * NV + v]));
  for (int v = 0; v < NV; ++v)
    for (int l = 0; l <= v; ++l) {
      double sum = 0;
      for (int k = 0; k < NV; ++k) sum += fmax(fabs(A[k * NV + k]), FLAT * largest) * V[k * NV + v] * V[k * NV + l];
      q->H[v * NV + l] = sum;
    }
}

/* the factor of H + E, made convex where it is not; 0 if there is none */
static int factor(Work *w, int curved) {
  QP *q = &w->q;
  for (int v = 0; curved && v < NV; ++v)
    for (int l = 0; l <= v; ++l) q->H[v * NV + l] += w->E[v * NV + l];
  if (cholesky(NV, NV, q->H, q->L)) return 1;
  turn(q, w->A, w->V);
  return cholesky(NV, NV, q->H, q->L);
}

/* slope: change of the cost along d to first order, convex parts whole; returns that of the whole QP */
static double promised(const Settings *s, Work *w, double *slope) {
  const QP *q = &w->q;
  double quadratic = 0;
  *slope = dot(NV, q->g, q->d);
  for (int v = 0; v < NV; ++v) {
    quadratic += 0.5 * q->H[v * NV + v] * q->d[v] * q->d[v];
    quadratic += q->d[v] * dot(v, q->H + v * NV, q->d);
  }
  for (int k = 0; k < N; ++k)
    for (int j = 0; j < NG; ++j) {
      double y = w->y[k][j], to = y + dot(NV, q->JY[k * NG + j], q->d);
      *slope += price(s, j, to) - price(s, j, y);
    }
  return *slope + quadratic;
}

/* what U + step d costs; it is left in U_try, its states and outputs in x_try, y_try */
static double cost_at(const Settings *s, const Now *p, Work *w, const double *U, double step) {
  for (int v = 0; v < NV; ++v) {
    int i = v % NU;
    w->U_try[v] = clip(U[v] + step * w->q.d[v], s->u_low[i] + p->shift[i], s->u_high[i] + p->shift[i]);
  }
  roll(p, w, w->U_try);
  return cost(s, p, w, w->U_try, w->x_try, w->y_try);
}

/* Second-order correction, after a whole step: d from the QP whose soft rows are bent as the model bends along d.
   Outputs held at a bound leave it by the model's curvature, and its steep price then forbids the steps of Newton's
   method, however near the optimum. 0 if no soft row is at work, or none can be found.
   Reference: Maratos (1978); Fletcher (1982), Lecture Notes in Mathematics 912, 85-114. */
static int correct(Work *w, const double *c) {
  QP *q = &w->q;
  int soft = 0;
  for (int i = 0; i < q->count; ++i) soft = soft || q->row[i] >= NV + RATES;
  if (!soft) return 0;
  for (int k = 0; k < N; ++k)
    for (int j = 0; j < NG; ++j) {
      int r = NV + RATES + k * NG + j;
      double bent = w->y_try[k][j] - w->y[k][j] - dot(NV, q->JY[k * NG + j], q->d);
      if (q->low[r] > -1e299) q->low[r] -= bent;
      if (q->high[r] < 1e299) q->high[r] -= bent;
    }
  return qp_solve(q, c);
}

/* U += step d with the largest step that pays, which is returned; 0 if none does */
static double go(const Settings *s, const Now *p, Work *w, double *U, double now, double slope, double rise) {
  double d[NV], step = 1, allowed = now + rise * (1 + fabs(now));
  int paid = cost_at(s, p, w, U, 1) <= allowed + SUFFICIENT * slope;
  memcpy(d, w->q.d, sizeof d);
  if (!paid && correct(w, s->penalty)) paid = cost_at(s, p, w, U, 1) <= allowed + SUFFICIENT * slope;
  if (!paid) memcpy(w->q.d, d, sizeof d);
  while (!paid && (step *= 0.5) > 1e-4) paid = cost_at(s, p, w, U, step) <= allowed + SUFFICIENT * step * slope;
  if (!paid) return 0;
  memcpy(U, w->U_try, sizeof w->U_try);
  return step;
}

/* U (NV) first guess and result; its states and outputs are left in x_try, y_try. Returns one of the above. */
static int optimise(const Settings *s, const Now *p, Work *w, double *U, double *report, int max_iter, double tol,
                    double max_time) {
  double start = seconds_now(), before = INFINITY, slope, step = 0;
  int status = STOPPED, i = 0, slow = 0, curved = 0;
  limit(s, p, U);
  while (status == STOPPED && i < max_iter) {
    linearise(p, w, U);
    double now = cost(s, p, w, U, w->x, w->y);
    if (!(fabs(now) < 1e300)) return BROKEN;
    gauss_newton(s, p, w);
    gradient(s, p, w, U);
    if (slow) curvature(s, p, w, U), curved = 1;
    set_rows(s, p, w, U);
    if (!factor(w, curved) || !qp_solve(&w->q, s->penalty)) return BROKEN;
    double change = -promised(s, w, &slope), unit = 1 + fabs(now);
    int last = change <= (i < PATIENCE ? 1 : MARGIN) * tol * unit;
    step = go(s, p, w, U, now, slope, last ? LAST : ROUNDING);
    ++i;
    /* promises fall by the same factor from one whole step to the next, or faster: the next is known */
    if (last || (step == 1 && i > 1 && change <= SURE * unit && change * change <= tol * unit * before)) status = SOLVED;
    else if (step == 0) status = change <= MARGIN * tol * unit ? SOLVED : STUCK;
    else if (seconds_now() - start > max_time) status = TIMED_OUT;
    slow = change > SLOW * before;
    before = change;
  }
  if (step == 0) roll(p, w, U);
  report[0] = cost(s, p, w, U, w->x_try, w->y_try), report[1] = i;
  return status;
}
