/* Horizon problem of a recurrent model in its moves alone: roll-out with sensitivities, dense QP, line search.

     cost(U) = sum_i |y_i - r_i|_Q^2 + c (s_i + s_i^2) + |u_i - u_s|_R^2 + |u_i - u_{i-1}|_S^2 + |x_N - x_s|_P^2,
     s_i = how far y_i is out of its bounds.

   What is left to constrain is linear in U (box, rates), so every iterate is feasible and the cost itself judges a
   step. The Hessian is Gauss-Newton's; where that converges slowly, the curvature of the model is added.
   Sizes are macros; model_roll, model_cell, model_curve are those of cell.py; columns are stored one after the other. */

static const int block[N] = BLOCKS; /* stage -> move */

static const double *move(const double *U, int k) { return U + NU * block[k]; }

static double sum_squares(int n, const double *weight, const double *a, const double *b) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += weight[i] * (a[i] - b[i]) * (a[i] - b[i]);
  return sum;
}

static double excess(const Settings *s, int j, double y) {
  return y > s->y_high[j] ? y - s->y_high[j] : y < s->y_low[j] ? y - s->y_low[j] : 0;
}

static double price(const Settings *s, int j, double y) {
  double e = excess(s, j, y);
  return s->penalty[j] * (fabs(e) + e * e);
}

static double terminal(const Now *p, const double *x, double *gradient) {
  double e[NX], sum = 0;
  for (int i = 0; i < NX; ++i) e[i] = x[i] - p->x_s[i], gradient[i] = 0;
  add_product(NX, NX, 1, p->P, e, NX, gradient, NX);
  for (int i = 0; i < NX; ++i) sum += e[i] * gradient[i], gradient[i] *= 2;
  return sum;
}

static double cost(const Settings *s, const Now *p, Work *w, const double *U, double (*x)[NX], double (*y)[NG]) {
  double sum = terminal(p, x[N], w->back) + p->hold * sum_squares(NU, s->S, p->u_s, move(U, N - 1));
  for (int k = 0; k < N; ++k) {
    sum += sum_squares(NG, s->Q, y[k], p->r[k]) + sum_squares(NU, s->R, move(U, k), p->u_s);
    sum += sum_squares(NU, s->S, move(U, k), k ? move(U, k - 1) : p->u_prev);
    for (int j = 0; j < NG; ++j) sum += price(s, j, y[k][j]);
  }
  return sum;
}

static void call(Work *w, int (*f)(const double **, double **, long long *, double *, int)) {
  f(w->arg, w->res, w->iw, w->fw, 0);
}

static void shift_output(const Now *p, double *y) {
  for (int j = 0; j < NG; ++j) y[j] += p->d[j];
}

static void roll(const Now *p, Work *w, const double *U) {
  memcpy(w->x_try[0], p->x, sizeof p->x);
  for (int k = 0; k < N; ++k) {
    w->arg[0] = w->x_try[k], w->arg[1] = move(U, k), w->res[0] = w->x_try[k + 1], w->res[1] = w->y_try[k];
    call(w, model_roll);
    shift_output(p, w->y_try[k]);
  }
}

/* states, outputs and their derivatives with respect to the moves: Z[k] = d [x_k; u_k] / d U */
static void linearise(const Now *p, Work *w, const double *U) {
  memcpy(w->x[0], p->x, sizeof p->x);
  memset(w->Z, 0, sizeof w->Z);
  for (int k = 0; k < N; ++k) {
    int cols = NU * (block[k] + 1);
    w->arg[0] = w->x[k], w->arg[1] = move(U, k);
    w->res[0] = w->x[k + 1], w->res[1] = w->y[k], w->res[2] = w->J[k], w->res[3] = w->C[k];
    call(w, model_cell);
    shift_output(p, w->y[k]);
    for (int i = 0; i < NU; ++i) w->Z[k][(cols - NU + i) * NZ + NX + i] = 1;
    add_product(NX, NX, cols, w->J[k], w->Z[k], NZ, w->Z[k + 1], NZ);
    for (int i = 0; i < NU; ++i)
      for (int j = 0; j < NX; ++j) w->Z[k + 1][(cols - NU + i) * NZ + j] += w->J[k][(NX + i) * NX + j];
    for (int j = 0; j < NG; ++j) {
      double c[NX];
      for (int l = 0; l < NX; ++l) c[l] = w->C[k][l * NG + j];
      double *row = w->q.JY[k * NG + j];
      memset(row, 0, NV * sizeof *row);
      for (int v = 0; v < cols; ++v) row[v] = dot(NX, c, w->Z[k + 1] + v * NZ);
    }
  }
}

/* C (NV, NV) += A'B for A, B (n, cols), where the product is symmetric; T (n, cols) is overwritten */
static void add_gram(int n, int cols, const double *A, const double *B, double *T, double *C) {
  for (int v = 0; v < cols; ++v)
    for (int i = 0; i < n; ++i) T[i * cols + v] = A[v * n + i];
  add_product(cols, n, cols, T, B, n, C, NV);
}

/* lower triangle of the Hessian without the model's curvature */
static void gauss_newton(const Settings *s, const Now *p, Work *w) {
  QP *q = &w->q;
  memset(q->H, 0, sizeof q->H);
  memset(w->WZ, 0, sizeof w->WZ);
  add_product(NX, NX, NV, p->P, w->Z[N], NZ, w->WZ, NZ);
  for (int v = 0; v < NZ * NV; ++v) w->WZ[v] *= 2;
  add_gram(NZ, NV, w->Z[N], w->WZ, w->T, q->H);
  for (int k = 0; k < N; ++k)
    for (int j = 0; j < NG; ++j) {
      const double *row = q->JY[k * NG + j];
      for (int v = 0; v < NU * (block[k] + 1); ++v) {
        double factor = 2 * s->Q[j] * row[v];
        for (int l = 0; l <= v; ++l) q->H[v * NV + l] += factor * row[l];
      }
    }
  for (int k = 0; k < N; ++k)
    for (int i = 0; i < NU; ++i) {
      int a = NU * block[k] + i, b = k ? NU * block[k - 1] + i : -1;
      q->H[a * NV + a] += 2 * s->R[i];
      if (a == b) continue;
      q->H[a * NV + a] += 2 * s->S[i];
      if (!k) continue;
      q->H[b * NV + b] += 2 * s->S[i], q->H[a * NV + b] -= 2 * s->S[i];
    }
  for (int i = 0; i < NU; ++i) q->H[(NV - NU + i) * (NV + 1)] += 2 * p->hold * s->S[i];
}

/* without the soft bounds */
static void gradient(const Settings *s, const Now *p, Work *w, const double *U) {
  double *g = w->q.g;
  terminal(p, w->x[N], w->back);
  for (int v = 0; v < NV; ++v) g[v] = dot(NX, w->back, w->Z[N] + v * NZ);
  for (int k = 0; k < N; ++k)
    for (int j = 0; j < NG; ++j) {
      const double *row = w->q.JY[k * NG + j];
      double e = 2 * s->Q[j] * (w->y[k][j] - p->r[k][j]);
      for (int v = 0; v < NU * (block[k] + 1); ++v) g[v] += e * row[v];
    }
  for (int k = 0; k < N; ++k)
    for (int i = 0; i < NU; ++i) {
      int a = NU * block[k] + i, b = k ? NU * block[k - 1] + i : -1;
      double du = U[a] - (k ? U[b] : p->u_prev[i]);
      g[a] += 2 * s->R[i] * (U[a] - p->u_s[i]);
      if (a == b) continue;
      g[a] += 2 * s->S[i] * du;
      if (k) g[b] -= 2 * s->S[i] * du;
    }
  for (int i = 0; i < NU; ++i) g[NV - NU + i] -= 2 * p->hold * s->S[i] * (p->u_s[i] - U[NV - NU + i]);
}

/* E = second derivatives of the model, weighed by the multipliers of its equations */
static void curvature(const Settings *s, const Now *p, Work *w, const double *U) {
  QP *q = &w->q;
  for (int k = 0; k < N; ++k)
    for (int j = 0; j < NG; ++j) w->mu[k][j] = 2 * s->Q[j] * (w->y[k][j] - p->r[k][j]);
  for (int i = 0; i < q->count; ++i) {
    int r = q->row[i] - NV - RATES;
    if (r >= 0) w->mu[r / NG][r % NG] += q->side[i] * q->nu[i];
  }
  memset(w->E, 0, sizeof w->E);
  terminal(p, w->x[N], w->lam);
  for (int k = N - 1; k >= 0; --k) {
    int cols = NU * (block[k] + 1);
    w->arg[0] = w->x[k], w->arg[1] = move(U, k), w->arg[2] = w->lam, w->arg[3] = w->mu[k], w->res[0] = w->W;
    call(w, model_curve);
    memset(w->WZ, 0, sizeof w->WZ);
    add_product(NZ, NZ, cols, w->W, w->Z[k], NZ, w->WZ, NZ);
    add_gram(NZ, cols, w->Z[k], w->WZ, w->T, w->E);
    for (int i = 0; i < NX; ++i) w->lam[i] += dot(NG, w->C[k] + i * NG, w->mu[k]);
    for (int i = 0; i < NX; ++i) w->back[i] = dot(NX, w->J[k] + i * NX, w->lam);
    memcpy(w->lam, w->back, sizeof w->lam);
  }
}
