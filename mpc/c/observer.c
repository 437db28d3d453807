/* What observers share: the model's step, the start from rest, the innovation. The text of observers.py in C. */

#define REST_TURNS 5000
#define REST_SHARE 1e-9 /* a step changes no state by more than this share of its size */

static void outputs_at(mpc_t *m, const double *x, double *y) {
  m->work.arg[0] = x, m->work.res[0] = y;
  call(&m->work, model_output);
}

/* x+ = f(x, u) where that is finite */
static void advance(mpc_t *m, const double *u) {
  double x_next[NX], y[NG];
  m->work.arg[0] = m->x, m->work.arg[1] = u, m->work.res[0] = x_next, m->work.res[1] = y;
  call(&m->work, model_roll);
  if (all_finite(NX, x_next)) memcpy(m->x, x_next, sizeof x_next);
}

/* x where the held input leads from x_start */
static void rest_at_input(mpc_t *m) {
  double before[NX];
  for (int turn = 0; turn < REST_TURNS; ++turn) {
    int at_rest = 1;
    memcpy(before, m->x, sizeof before);
    advance(m, m->u_prev);
    for (int i = 0; i < NX; ++i) {
      double size = fabs(x_mid[i] + x_half[i] * before[i]);
      if (!(x_half[i] * fabs(m->x[i] - before[i]) <= REST_SHARE * (1 + size))) at_rest = 0;
    }
    if (at_rest) return;
  }
  memcpy(m->x, start, sizeof m->x);
}

/* x that explains the measurement y (scaled, NaN where missing) at rest */
static void rest_at_output(mpc_t *m, const double *y) {
  double wanted[COUNTED][2], z[NZ];
  outputs_at(m, m->x, m->y);
  for (int i = 0; i < rest_settings.count; ++i) {
    int j = rest_settings.counted[i];
    wanted[i][0] = wanted[i][1] = rest_settings.share[j] * (isfinite(y[j]) ? y[j] : m->y[j]);
  }
  memcpy(z, rest_start, sizeof z);
  if (solve_target(&rest_settings, &m->target, &m->work, wanted, z)) memcpy(m->x, z, sizeof m->x);
}

/* the state at rest before the first measurement */
static void rest(mpc_t *m, const double *y) {
  if (m->has_u) rest_at_input(m);
  else rest_at_output(m, y);
}

/* e = y - g(x) - d, zero where y (scaled) is missing; at first d explains y where there is one; 0 if a channel is missing */
static int innovation(mpc_t *m, const double *y, int first) {
  int complete = 1;
  outputs_at(m, m->x, m->y);
  for (int j = 0; j < NY; ++j) {
    int seen = isfinite(y[j]) ? 1 : 0;
    complete = complete && seen;
    if (first) m->d_n[j] = seen && disturbed[j] ? y[j] - m->y[j] : 0;
    m->e[j] = seen ? y[j] - m->y[j] - m->d_n[j] : 0;
  }
  m->started = 1;
  return complete;
}
