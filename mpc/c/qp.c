/* Dense QP of the moves, by a dual active set whose rows may give way:

     min  1/2 d'H d + g'd + sum_soft c (s + s^2),   low - s <= a'd <= high + s,   s = 0 in hard rows.

   In dual variables nu >= 0 a hard row is an equation a'd = b; a soft row is that while nu < c, and beyond it gives
   way, a'd = b + (nu - c) / (2 c). Every step solves the equations of the rows at work and moves the multipliers
   towards the result until the first one leaves its range. Any rows and nu = 0 are a start, hence the warm start.
   Reference: Goldfarb and Idnani (1983), Math. Prog. 27; Arnstroem, Bemporad, Axehill (2022), IEEE TAC 67. */

#define EPS 1e-11 /* rows give way by this much of a change of nu: dependent rows need no special case */
#define FEASIBLE 1e-11

/* lower Cholesky factor of the leading n x n of A (row length ld); 0 if A is not positive definite */
static int cholesky(int n, int ld, const double *A, double *L) {
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j <= i; ++j) {
      double sum = A[i * ld + j];
      for (int k = 0; k < j; ++k) sum -= L[i * ld + k] * L[j * ld + k];
      if (i != j) L[i * ld + j] = sum / L[j * ld + j];
      else if (sum > 1e-14 * (1e-30 + A[i * ld + i]) && sum < 1e300) L[i * ld + i] = sqrt(sum);
      else return 0;
    }
  }
  return 1;
}

static void forward(int n, int ld, const double *L, double *x) {
  for (int i = 0; i < n; ++i) {
    double sum = x[i];
    for (int k = 0; k < i; ++k) sum -= L[i * ld + k] * x[k];
    x[i] = sum / L[i * ld + i];
  }
}

static void backward(int n, int ld, const double *L, double *x) {
  for (int i = n - 1; i >= 0; --i) {
    x[i] /= L[i * ld + i];
    for (int k = 0; k < i; ++k) x[k] -= L[i * ld + k] * x[i];
  }
}

NOINLINE static double dot(int n, const double *a, const double *b) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/* a'd of row r: a move, a change between neighbours, or an output */
static double activity(const QP *q, int r, const double *d) {
  if (r < NV) return d[r];
  if (r < NV + RATES) return r < NV + NU ? d[r - NV] : d[r - NV] - d[r - NV - NU];
  return dot(NV, q->JY[r - NV - RATES], d);
}

/* row r joins with nu = 0, and its products with the rows at work */
static void join(QP *q, int r, int side) {
  int n = q->count++;
  double *m = q->M[n];
  memset(m, 0, NV * sizeof *m);
  if (r < NV) m[r] = 1;
  else if (r < NV + RATES) {
    m[r - NV] = 1;
    if (r >= NV + NU) m[r - NV - NU] = -1;
  } else memcpy(m, q->JY[r - NV - RATES], NV * sizeof *m);
  forward(NV, NV, q->L, m);
  for (int i = 0; i < NV; ++i) m[i] *= side;
  for (int i = 0; i <= n; ++i) q->G[i][n] = q->G[n][i] = dot(NV, m, q->M[i]);
  q->row[n] = r;
  q->side[n] = side;
  q->yields[n] = 0;
  q->nu[n] = 0;
  q->at_work[r] = side;
  q->b[n] = (side > 0 ? q->high[r] : -q->low[r]) + dot(NV, m, q->v);
}

static void leave(QP *q, int i) {
  int n = --q->count;
  q->at_work[q->row[i]] = 0;
  for (int k = i; k < n; ++k) {
    memcpy(q->M[k], q->M[k + 1], sizeof q->M[k]);
    q->row[k] = q->row[k + 1], q->side[k] = q->side[k + 1], q->yields[k] = q->yields[k + 1];
    q->nu[k] = q->nu[k + 1], q->b[k] = q->b[k + 1];
    memcpy(q->G[k], q->G[k + 1], sizeof q->G[k]);
  }
  for (int k = 0; k < n; ++k) memmove(&q->G[k][i], &q->G[k][i + 1], (n - i) * sizeof(double));
}

/* the multiplier at which row r gives way, for prices c of the outputs */
static double limit_of(int r, const double *c) { return r < NV + RATES ? 1e300 : c[(r - NV - RATES) % NG]; }

/* multipliers go towards the solution of the equations at work; 1 if one stopped them on the way */
static int blocked(QP *q, const double *c) {
  int n = q->count, who = -1;
  for (int i = 0; i < n; ++i) {
    memcpy(q->K[i], q->G[i], n * sizeof(double));
    double give = EPS * (1 + q->G[i][i]);
    q->K[i][i] += q->yields[i] ? 0.5 / limit_of(q->row[i], c) : give;
    q->next[i] = -q->b[i] + (q->yields[i] ? 0.5 : give * q->nu[i]);
  }
  if (!cholesky(n, ROWS, q->K[0], q->K[0])) return -1;
  forward(n, ROWS, q->K[0], q->next);
  backward(n, ROWS, q->K[0], q->next);
  double step = 1;
  for (int i = 0; i < n; ++i) {
    double most = limit_of(q->row[i], c), to = q->next[i];
    double low = q->yields[i] ? most : 0, high = q->yields[i] ? 1e300 : most;
    double end = to < low ? low : to > high ? high : to;
    if (end == to) continue;
    double part = (end - q->nu[i]) / (to - q->nu[i]);
    if (part < step) step = part, who = i;
  }
  for (int i = 0; i < n; ++i) q->nu[i] += step * (q->next[i] - q->nu[i]);
  if (who < 0) return 0;
  int soft = q->row[who] >= NV + RATES;
  if (soft && (q->yields[who] || q->next[who] > q->nu[who])) {
    q->yields[who] = !q->yields[who];
    q->nu[who] = limit_of(q->row[who], c);
  } else leave(q, who);
  return 1;
}

/* d from the multipliers; the row most broken, or -1 */
static int worst(QP *q, int *side) {
  for (int i = 0; i < NV; ++i) q->d[i] = -q->v[i];
  for (int k = 0; k < q->count; ++k)
    for (int i = 0; i < NV; ++i) q->d[i] -= q->nu[k] * q->M[k][i];
  backward(NV, NV, q->L, q->d);
  double most = FEASIBLE;
  int who = -1;
  for (int r = 0; r < ROWS; ++r) {
    if (q->at_work[r] || (q->low[r] < -1e299 && q->high[r] > 1e299)) continue;
    double a = activity(q, r, q->d);
    if (a - q->high[r] > most) most = a - q->high[r], who = r, *side = 1;
    if (q->low[r] - a > most) most = q->low[r] - a, who = r, *side = -1;
  }
  return who;
}

/* q->L is the factor of H. The rows at work are those of the last call. 1 if solved. */
static int qp_solve(QP *q, const double *c) {
  int old = q->count, row[ROWS], side[ROWS];
  memcpy(row, q->row, sizeof row);
  memcpy(side, q->side, sizeof side);
  memcpy(q->v, q->g, sizeof q->v);
  forward(NV, NV, q->L, q->v);
  memset(q->at_work, 0, sizeof q->at_work);
  q->count = 0;
  for (int i = 0; i < old; ++i)
    if ((side[i] > 0 ? q->high[row[i]] : -q->low[row[i]]) < 1e299) join(q, row[i], side[i]);
  for (int turn = 0, again = 0; turn < 50 + 10 * NV; ++turn) {
    int stopped = blocked(q, c), s = 0;
    if (stopped < 0) return 0;
    if (stopped) continue;
    int r = worst(q, &s);
    if (r < 0 && (again || !q->count)) return 1;
    again = r < 0; /* once more from where nu is: what rows give way by vanishes */
    if (r >= 0) join(q, r, s);
  }
  return 0;
}
