/* Observer of a model whose last inputs are the innovation: CertifiedObserver. The text of innovation.py in C. */

/* x+ = f(x, [u; e]), in its box */
static void inject(mpc_t *m) {
  for (int j = 0; j < NY; ++j) m->u_prev[NU + j] = (y_range[j] * m->e[j] - u_mid[NU + j]) / u_half[NU + j];
  advance(m, m->u_prev);
  for (int i = 0; i < BX; ++i) m->x[i] = clip(m->x[i], x_low[i], x_high[i]);
}

/* e = y - g(x), zero where y (scaled) is missing */
static void see(mpc_t *m, const double *y) {
  outputs_at(m, m->x, m->y);
  for (int j = 0; j < NY; ++j) m->e[j] = isfinite(y[j]) ? y[j] - m->y[j] : 0;
}

/* x where the observer leads under the held input and y */
static void settle_at(mpc_t *m, const double *y) {
  double before[BX];
  for (int turn = 0; turn < REST_TURNS; ++turn) {
    memcpy(before, m->x, sizeof before);
    see(m, y);
    inject(m);
    if (stands(m, before)) return;
  }
}

/* x and d from the input held since the last step and the measurement y (scaled); 0 if a channel is missing */
static int observe(mpc_t *m, const double *y) {
  int first = !m->started, complete = 1;
  m->started = 1;
  if (!first) inject(m);
  else if (m->has_u) settle_at(m, y);
  else rest_at_output(m, y);
  see(m, y);
  for (int j = 0; j < NY; ++j) {
    int seen = isfinite(y[j]) ? 1 : 0;
    complete = complete && seen;
    if (first) m->d_n[j] = m->e[j];
    if (seen) m->d_n[j] += gain[j] * (m->e[j] - m->d_n[j]);
    else m->e[j] = m->d_n[j];
    m->d[j] = y_range[j] * m->d_n[j];
    for (int k = 0; k < NP; ++k) m->w[k * NW + j] = (m->d[j] - u_mid[NU + j]) / u_half[NU + j];
  }
  return complete;
}
