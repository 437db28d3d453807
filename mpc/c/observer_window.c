/* A window of moving horizon estimation without bounds. The text of smoothing.py in C; its unknowns are

     zeta = S' a_0,  omega_i = W' a_{i+1},  so that  z_0 = z' + P a_0,  z_{i+1} = F(z_i, u_i) + Q a_{i+1},

   P = S S' the covariance m->P of what came before the window, Q = W W': no root of P is needed. */

static double disturbance(const double *z, int j) { return disturbed[j] ? z[BX + disturbed[j] - 1] : 0; }

/* where the unknowns of t lead, and what that costs */
static void play(mpc_t *m, Track *t) {
  const Window *w = &m->window;
  double y[NG];
  t->cost = 0;
  for (int i = 0; i <= w->steps; ++i) {
    double *z = t->z[i], *a = t->a[i];
    for (int k = 0; k < NF; ++k) {
      double moved = i ? process_variance[k] * a[k] : dot(NF, m->P + k * NF, a);
      z[k] = (i ? t->f[i - 1][k] : w->prior[k]) + moved;
      t->cost += a[k] * moved;
    }
    outputs_at(m, z, y);
    for (int j = 0; j < NY; ++j) {
      double e = isfinite(w->y[i][j]) ? y[j] + disturbance(z, j) - w->y[i][j] : 0;
      t->r[i][j] = e / sqrt(variance[j]);
      t->cost += t->r[i][j] * t->r[i][j];
    }
    if (i == w->steps) return;
    m->work.arg[0] = z, m->work.arg[1] = w->u[i], m->work.res[0] = t->f[i], m->work.res[1] = y;
    call(&m->work, base_roll);
    memcpy(t->f[i] + BX, z + BX, (NF - BX) * sizeof *z);
  }
}

/* C of the outputs at step i, in deviations of what was measured; G = P C', and their rows of K and b; zero: z of the
   linearisation without noise; 0 if a number is not finite */
static int weigh_measurements(mpc_t *m, int i, const double *zero) {
  Window *w = &m->window;
  double slope[NY * BX], dz[NF];
  const double *z = w->at.z[i];
  int finite = 1;
  m->work.arg[0] = z, m->work.res[0] = slope;
  call(&m->work, base_slope);
  for (int k = 0; k < NF; ++k) dz[k] = zero[k] - z[k];
  for (int q = i * NY; q < (i + 1) * NY; ++q) {
    int j = q - i * NY, seen = isfinite(w->y[i][j]) ? 1 : 0;
    for (int k = 0; k < NF; ++k)
      w->C[q][k] = seen / sqrt(variance[j]) * (k < BX ? slope[k * NY + j] : k == BX + disturbed[j] - 1);
    for (int k = 0; k < NF; ++k) w->G[q][k] = dot(NF, w->P + k * NF, w->C[q]);
    w->b[q] = w->at.r[i][j] + dot(NF, w->C[q], dz);
    finite = finite && isfinite(w->b[q]);
  }
  for (int q = i * NY; q < (i + 1) * NY; ++q)
    for (int p = 0; p <= q; ++p) {
      w->K[q * SEEN + p] = (p == q) + dot(NF, w->C[q], w->G[p]);
      finite = finite && isfinite(w->K[q * SEEN + p]);
    }
  return finite;
}

/* zero, P and the rows of G one step on, along the model linearised at step i */
static void pass_model(mpc_t *m, int i, double *zero) {
  Window *w = &m->window;
  const double *z = w->at.z[i];
  double x_next[BX], y[NG], C[NG * BX], J[BX * BZ], v[BX];
  m->work.arg[0] = z, m->work.arg[1] = w->u[i];
  m->work.res[0] = x_next, m->work.res[1] = y, m->work.res[2] = J, m->work.res[3] = C;
  call(&m->work, base_cell);
  memcpy(w->J[i], J, sizeof w->J[i]);
  for (int k = 0; k < BX; ++k) v[k] = zero[k] - z[k];
  memcpy(zero, w->at.f[i], BX * sizeof *zero);
  add_product(BX, BX, 1, J, v, BX, zero, BX);
  propagate(m, J, w->P, w->P);
  for (int q = 0; q < (i + 1) * NY; ++q) {
    memcpy(v, w->G[q], sizeof v);
    memset(w->G[q], 0, sizeof v);
    add_product(BX, BX, 1, J, v, BX, w->G[q], BX);
  }
}

/* the next unknowns, in w->a, and by how much the linearised problem costs less there; 0 if there are none */
static int smooth(mpc_t *m, double *promised) {
  Window *w = &m->window;
  int n = (w->steps + 1) * NY;
  double zero[NF];
  memcpy(w->P, m->P, sizeof w->P);
  memcpy(zero, w->prior, sizeof zero);
  for (int i = 0; i <= w->steps; ++i) {
    if (!weigh_measurements(m, i, zero)) return 0;
    if (i < w->steps) pass_model(m, i, zero);
  }
  if (!isfinite(w->at.cost) || !cholesky(n, SEEN, w->K, w->K)) return 0;
  memcpy(w->back, w->b, sizeof w->back);
  forward(n, SEEN, w->K, w->back);
  backward(n, SEEN, w->K, w->back);
  for (int i = w->steps; i >= 0; --i)
    for (int k = 0; k < NF; ++k) {
      const double *later = i < w->steps ? w->a[i + 1] : 0;
      double sum = !later ? 0 : k < BX ? dot(BX, w->J[i] + k * BX, later) : later[k];
      for (int q = i * NY; q < (i + 1) * NY; ++q) sum -= w->C[q][k] * w->back[q];
      w->a[i][k] = sum;
    }
  *promised = w->at.cost - dot(n, w->b, w->back);
  return 1;
}

/* w->to becomes the optimum; 0 if it was not found */
static int solve_window(mpc_t *m) {
  Window *w = &m->window;
  double promised, before = INFINITY;
  memset(w->at.a, 0, sizeof w->at.a);
  play(m, &w->at);
  for (int turn = 0; turn < SMOOTHINGS; ++turn) {
    if (!smooth(m, &promised)) return 0;
    double share = 1, unit = 1 + w->at.cost;
    memcpy(w->to.a, w->a, sizeof w->a);
    play(m, &w->to);
    int sure = promised <= SMOOTH_SURE * unit && promised * promised <= SMOOTHED * unit * before;
    if (sure || promised <= SMOOTHED * unit) return isfinite(w->to.cost) && all_finite(NF, w->to.z[w->steps]);
    while (!(w->to.cost <= w->at.cost * (1 + SMOOTH_ROUNDING))) {
      if ((share /= 2) < SMALLEST_SHARE) return 0;
      for (int i = 0; i <= w->steps; ++i)
        for (int k = 0; k < NF; ++k) w->to.a[i][k] = w->at.a[i][k] + share * (w->a[i][k] - w->at.a[i][k]);
      play(m, &w->to);
    }
    w->at = w->to, before = share == 1 ? promised : 0;
  }
  return 0;
}
