/* Steady-state target: x = f(x, u), y = g(x) in the intervals wanted (low, high), u in its box; else the nearest y.
   All scaled.
   The text of target.py and nearest.py in C. */

#define NEWTON_STEPS 10
#define ROOT 1e-10
#define WITHIN 1e-9 /* an output so little out of its bounds is in them */
#define PROXIMAL 1e-8 /* weight of staying near the previous input */
#define RESTING 1e-7 /* and of an input near where it is to rest */
#define AT_REST 1e-12 /* error of x = f(x, u) */
#define SETTLED 1e-16 /* promised decrease that ends the iterations */
#define NEAR 0.1 /* an input this close to a bound counts as at it */
#define STEEPER 10 /* weights beyond 1, those of bounds, grow by this factor: at once they would be walls */
#define NEARLY 1e-9 /* promised decrease that will do until they have grown, or where no step pays any more */
#define STEPS 50
#define REST_STEPS 20
#define SMALLEST_STEP 1e-6

static int all_finite(int n, const double *a) {
  for (int i = 0; i < n; ++i)
    if (!isfinite(a[i])) return 0;
  return 1;
}

/* f, y in units of the target's range, J and C of the outputs that count, at (x, u); 0 if any is not finite */
static int cell_at(const TargetSettings *t, Target *w, Work *work, const double *x, const double *u) {
  double y[NG], C[NG * BX];
  work->arg[0] = x, work->arg[1] = u;
  work->res[0] = w->f, work->res[1] = y, work->res[2] = w->J, work->res[3] = C;
  call(work, base_cell);
  if (!all_finite(BX, w->f) || !all_finite(NG, y) || !all_finite(BX * BZ, w->J)) return 0;
  for (int i = 0; i < t->count; ++i) {
    int j = t->counted[i];
    w->y[i] = t->share[j] * y[j];
    for (int k = 0; k < BX; ++k) w->C[i][k] = t->share[j] * C[k * NG + j];
  }
  return all_finite(t->count * BX, w->C[0]);
}

static double largest(int n, const double *a) {
  double most = 0;
  for (int i = 0; i < n; ++i) most = fmax(most, fabs(a[i]));
  return most;
}

/* how far the outputs that count are out of their intervals; whether all are within a margin */
static int errors(const TargetSettings *t, Target *w, double (*wanted)[2], double margin) {
  for (int i = 0; i < t->count; ++i) w->e[i] = w->y[i] - clip(w->y[i], wanted[i][0], wanted[i][1]);
  return !(largest(t->count, w->e) > margin);
}

static double weight(const TargetSettings *t, const Target *w, int i) { return fmin(t->Q[i], w->steepest); }
static int is_open(const TargetSettings *t, int i) { return !isfinite(t->rest[i]); }
static double pull(const TargetSettings *t, int i) { return is_open(t, i) ? PROXIMAL : RESTING; }

/* z (BX + BU) becomes a root of [f - x; y - wanted] inside box and bounds; 0 if there is none nearby */
static int root(const TargetSettings *t, Target *w, Work *work, double (*wanted)[2], double *z) {
  int m = BX + t->points, n = BX, moving[BZ];
  for (int j = 0; j < BX; ++j) moving[j] = j;
  for (int i = 0; i < BU; ++i)
    if (!is_open(t, i)) z[BX + i] = t->rest[i];
    else if (i < t->found) moving[n++] = BX + i;
    else z[BX + i] = t->low[i];
  if (m > n) return 0;
  for (int turn = 0; turn < NEWTON_STEPS; ++turn) {
    if (!cell_at(t, w, work, z, z + BX)) return 0;
    for (int i = 0; i < BX; ++i) {
      w->residual[i] = w->f[i] - z[i];
      for (int j = 0; j < n; ++j) w->M[i * n + j] = w->J[moving[j] * BX + i] - (i == j);
    }
    for (int i = 0; i < t->points; ++i) {
      w->residual[BX + i] = w->y[i] - wanted[i][0];
      for (int j = 0; j < n; ++j) w->M[(BX + i) * n + j] = dot(BX, w->C[i], w->J + moving[j] * BX);
    }
    if (largest(m, w->residual) < ROOT) {
      for (int i = 0; i < BU; ++i)
        if (z[BX + i] < t->low[i] || z[BX + i] > t->high[i]) return 0;
      return errors(t, w, wanted, WITHIN);
    }
    if (m < n) {
      if (!least_norm(m, n, w->M, w->L, w->residual, w->step)) return 0;
    } else {
      if (!lu(m, w->M, w->pivot)) return 0;
      lu_solve(m, w->M, w->pivot, w->residual);
      memcpy(w->step, w->residual, n * sizeof *w->step);
    }
    for (int j = 0; j < n; ++j) z[moving[j]] -= w->step[j];
  }
  return 0;
}

/* M = I - A in factors */
static int factor_rest(Target *w) {
  for (int i = 0; i < BX; ++i)
    for (int j = 0; j < BX; ++j) w->M[i * BX + j] = (i == j) - w->J[j * BX + i];
  return lu(BX, w->M, w->pivot);
}

/* x becomes the rest state at u, by Newton's method; f, y, J, C are those there; the cost, or infinity */
static double settle(const TargetSettings *t, Target *w, Work *work, const double *u, const double *centre,
                     double (*wanted)[2], double *x) {
  for (int turn = 0; turn < REST_STEPS; ++turn) {
    if (!cell_at(t, w, work, x, u)) return INFINITY;
    for (int i = 0; i < BX; ++i) w->residual[i] = w->f[i] - x[i];
    if (largest(BX, w->residual) <= AT_REST * (1 + largest(BX, x))) {
      double cost = 0;
      errors(t, w, wanted, 0);
      for (int i = 0; i < t->count; ++i) cost += weight(t, w, i) * w->e[i] * w->e[i];
      for (int i = 0; i < BU; ++i) cost += pull(t, i) * (u[i] - centre[i]) * (u[i] - centre[i]);
      return cost;
    }
    if (!factor_rest(w)) return INFINITY;
    lu_solve(BX, w->M, w->pivot, w->residual);
    for (int i = 0; i < BX; ++i) x[i] += w->residual[i];
  }
  return INFINITY;
}

/* gradient and Hessian of the reduced cost at rest (x, u), the latter with and without the model's curvature, which is
   computed anew where steps are slow or outputs leave inputs open; 0 if singular */
static int reduce(const TargetSettings *t, Target *w, Work *work, const double *x, const double *u, const double *centre,
                  double (*wanted)[2], int slow) {
  double mu[NG] = {0}, slope[COUNTED], lam[BX], back[BX] = {0};
  if (!factor_rest(w)) return 0;
  for (int a = 0; a < BU; ++a) {
    double *z = w->Z + a * BZ;
    memcpy(z, w->J + (BX + a) * BX, BX * sizeof *z);
    lu_solve(BX, w->M, w->pivot, z);
    for (int b = 0; b < BU; ++b) z[BX + b] = a == b;
    w->gradient[a] = 2 * pull(t, a) * (u[a] - centre[a]);
  }
  for (int i = 0; i < t->count; ++i) {
    mu[t->counted[i]] += t->share[t->counted[i]] * (slope[i] = 2 * weight(t, w, i) * w->e[i]);
    for (int k = 0; k < BX; ++k) back[k] += w->C[i][k] * slope[i];
    for (int a = 0; a < BU; ++a) w->G[i * BU + a] = dot(BX, w->C[i], w->Z + a * BZ);
    for (int a = 0; a < BU; ++a) w->gradient[a] += w->G[i * BU + a] * slope[i];
  }
  if (slow) {
    for (int k = 0; k < BX; ++k) lam[k] = dot(BX, w->J + k * BX, back);
    lu_solve_transposed(BX, w->M, w->pivot, lam);
    work->arg[0] = x, work->arg[1] = u, work->arg[2] = lam, work->arg[3] = mu, work->res[0] = work->W;
    call(work, base_curve);
  }
  for (int a = 0; a < BU; ++a)
    for (int b = 0; b < BU; ++b) {
      double sum = 2 * pull(t, a) * (a == b), bend = slow ? 0 : w->bend[a * BU + b];
      for (int i = 0; i < t->count; ++i)
        if (w->e[i] != 0 || wanted[i][0] == wanted[i][1]) sum += 2 * weight(t, w, i) * w->G[i * BU + a] * w->G[i * BU + b];
      for (int k = 0; slow && k < BZ; ++k) bend += w->Z[a * BZ + k] * dot(BZ, work->W + k * BZ, w->Z + b * BZ);
      w->convex[a * BU + b] = sum, w->curved[a * BU + b] = sum + bend, w->bend[a * BU + b] = bend;
    }
  return 1;
}

/* step d (BU): inputs that the gradient pushes against a bound nearby go there, the others by Newton */
static void choose_step(const TargetSettings *t, const Target *w, const double *u, double *d) {
  double near = 0, H[BU * BU], L[BU * BU], g[BU];
  int free[BU], n = 0;
  for (int i = 0; i < BU; ++i) near = fmax(near, fabs(clip(u[i] - w->gradient[i], t->low[i], t->high[i]) - u[i]));
  near = fmin(near, NEAR);
  for (int i = 0; i < BU; ++i) {
    d[i] = (w->gradient[i] > 0 ? t->low[i] : t->high[i]) - u[i];
    if (fabs(d[i]) > near) free[n++] = i;
  }
  for (int convex = 0; n && convex < 2; ++convex) {
    const double *from = convex ? w->convex : w->curved;
    for (int i = 0; i < n; ++i) {
      g[i] = w->gradient[free[i]];
      for (int j = 0; j < n; ++j) H[i * n + j] = from[free[i] * BU + free[j]];
    }
    if (!cholesky(n, n, H, L)) continue;
    forward(n, n, L, g);
    backward(n, n, L, g);
    for (int i = 0; i < n; ++i) d[free[i]] = -g[i];
    return;
  }
}

/* rest (x, u) after steps until they promise less than `settled`: 1 if it will do, 0 if not, -1 if there is no rest */
static int descend(const TargetSettings *t, Target *w, Work *work, double (*wanted)[2], const double *centre, double *x,
                   double *u, double settled) {
  double to[BU], d[BU], x_to[BX], promised = INFINITY, before = INFINITY, cost = settle(t, w, work, u, centre, wanted, x);
  int open = t->points < t->found;
  memset(w->bend, 0, sizeof w->bend);
  for (int turn = 0; turn < STEPS; ++turn) {
    if (!(cost < INFINITY) || !reduce(t, w, work, x, u, centre, wanted, open || promised > SLOW * before)) return -1;
    choose_step(t, w, u, d);
    before = promised, promised = -dot(BU, w->gradient, d);
    double then = INFINITY, step = 1;
    for (; step > SMALLEST_STEP; step /= 2) {
      double enough = ROUNDING * (1 + cost);
      memcpy(x_to, x, sizeof x_to);
      for (int i = 0; i < BU; ++i) {
        to[i] = clip(u[i] + step * d[i], t->low[i], t->high[i]);
        enough += SUFFICIENT * w->gradient[i] * (to[i] - u[i]);
        for (int k = 0; k < BX; ++k) x_to[k] += w->Z[i * BZ + k] * (to[i] - u[i]);
      }
      then = settle(t, w, work, to, centre, wanted, x_to);
      if (then <= cost + enough) break;
    }
    if (!(step > SMALLEST_STEP)) break;
    cost = then;
    memcpy(u, to, sizeof to);
    memcpy(x, x_to, sizeof x_to);
    if (promised <= settled) break;
  }
  return promised <= NEARLY;
}

/* z becomes the rest point nearest to wanted; 0 if the states come to no rest */
static int nearest(const TargetSettings *t, Target *w, Work *work, double (*wanted)[2], double *z) {
  double u[BU], centre[BU], x[BX], most = largest(t->count, t->Q);
  for (int i = 0; i < BU; ++i) {
    u[i] = clip(z[BX + i], t->low[i], t->high[i]);
    centre[i] = is_open(t, i) ? u[i] : t->rest[i];
  }
  memcpy(x, z, sizeof x);
  for (w->steepest = 1;; w->steepest *= STEEPER) {
    int last = w->steepest >= most, found = descend(t, w, work, wanted, centre, x, u, last ? SETTLED : NEARLY);
    if (found < 0 || (last && !found)) return 0;
    if (last) break;
  }
  memcpy(z, x, sizeof x);
  memcpy(z + BX, u, sizeof u);
  return 1;
}

/* z from the previous one; 0 if no rest point was found, and z stays */
static int solve_target(const TargetSettings *t, Target *w, Work *work, double (*wanted)[2], double *z) {
  memcpy(w->z, z, sizeof w->z);
  if (!all_finite(2 * t->count, wanted[0])) return 0;
  if (root(t, w, work, wanted, w->z)) {
    memcpy(z, w->z, sizeof w->z);
    return 1;
  }
  return nearest(t, w, work, wanted, z);
}
