/* What observers share: the model's step, and the start from rest. The text of observers.py in C. */

#define REST_TURNS 5000
#define REST_SHARE 1e-9 /* a step changes no state by more than this share of its size */

static void outputs_at(mpc_t *m, const double *x, double *y) {
  m->work.arg[0] = x, m->work.res[0] = y;
  call(&m->work, base_output);
}

/* x+ = f(x, u) where that is finite */
static void advance(mpc_t *m, const double *u) {
  double x_next[BX], y[NG];
  m->work.arg[0] = m->x, m->work.arg[1] = u, m->work.res[0] = x_next, m->work.res[1] = y;
  call(&m->work, base_roll);
  if (all_finite(BX, x_next)) memcpy(m->x, x_next, sizeof x_next);
}

/* whether x hardly changed */
static int stands(const mpc_t *m, const double *before) {
  for (int i = 0; i < BX; ++i) {
    double size = fabs(x_mid[i] + x_half[i] * before[i]);
    if (!(x_half[i] * fabs(m->x[i] - before[i]) <= REST_SHARE * (1 + size))) return 0;
  }
  return 1;
}

/* x that explains the measurement y (scaled, NaN where missing) at rest */
static void rest_at_output(mpc_t *m, const double *y) {
  double wanted[COUNTED][2], z[BZ];
  outputs_at(m, m->x, m->y);
  for (int i = 0; i < rest_settings.count; ++i) {
    int j = rest_settings.counted[i];
    wanted[i][0] = wanted[i][1] = rest_settings.share[j] * (isfinite(y[j]) ? y[j] : m->y[j]);
  }
  memcpy(z, rest_start, sizeof z);
  if (solve_target(&rest_settings, &m->target, &m->work, wanted, z)) memcpy(m->x, z, sizeof m->x);
}
