/* The steps of an extended Kalman filter. The text of ekf.py in C; covariances have their rows one after the other. */

/* P becomes m->next made symmetric; one that overflowed says nothing any more: start it again */
static void accept(mpc_t *m) {
  int finite = all_finite(NF * NF, m->next);
  for (int i = 0; i < NF; ++i)
    for (int j = 0; j < NF; ++j)
      m->P[i * NF + j] = !finite ? (i == j) * start_variance[i] : (m->next[i * NF + j] + m->next[j * NF + i]) / 2;
}

/* next = A P A' + Q,  A = d [f; d] / d [x; d], J its columns for x; next may be P */
static void propagate(mpc_t *m, const double *J, const double *P, double *next) {
  double sum;
  memcpy(m->AP, P, sizeof m->AP);
  for (int i = 0; i < BX; ++i)
    for (int j = 0; j < NF; ++j) {
      sum = 0;
      for (int l = 0; l < BX; ++l) sum += J[l * BX + i] * P[l * NF + j];
      m->AP[i * NF + j] = sum;
    }
  memcpy(next, m->AP, sizeof m->AP);
  for (int i = 0; i < NF; ++i) {
    for (int j = 0; j < BX; ++j) {
      sum = 0;
      for (int l = 0; l < BX; ++l) sum += J[l * BX + j] * m->AP[i * NF + l];
      next[i * NF + j] = sum;
    }
    next[i * NF + i] += process_variance[i];
  }
}

/* x+ = f(x, u),  P+ = A P A' + Q */
static void predict(mpc_t *m, const double *u) {
  double x_next[BX], y[NG], C[NG * BX], J[BX * BZ];
  m->work.arg[0] = m->x, m->work.arg[1] = u;
  m->work.res[0] = x_next, m->work.res[1] = y, m->work.res[2] = J, m->work.res[3] = C;
  call(&m->work, base_cell);
  if (all_finite(BX, x_next)) memcpy(m->x, x_next, sizeof x_next);
  propagate(m, J, m->P, m->next);
  accept(m);
}

/* z moves by K e, P becomes J P J' + K R K',  K = P C' (C P C' + R)^-1,  J = I - K C; rows of what was measured */
static void correct_estimate(mpc_t *m, const double *y) {
  double slope[NY * BX], H[NY * NF], PH[NY * NF], S[NY * NY], R[NY], e[NY], dz[NF] = {0}, k[NY], sum;
  int n = 0, pivot[NY];
  m->work.arg[0] = m->x, m->work.res[0] = slope;
  call(&m->work, base_slope);
  for (int j = 0; j < NY; ++j) {
    if (!isfinite(y[j])) continue;
    for (int i = 0; i < NF; ++i) H[n * NF + i] = i < BX ? slope[i * NY + j] : i == BX + disturbed[j] - 1;
    R[n] = variance[j], e[n++] = m->e[j];
  }
  for (int a = 0; a < n; ++a) {
    for (int i = 0; i < NF; ++i) PH[a * NF + i] = dot(NF, m->P + i * NF, H + a * NF);
    for (int b = 0; b < n; ++b) S[a * n + b] = dot(NF, PH + a * NF, H + b * NF) + (a == b) * R[a];
  }
  if (!lu(n, S, pivot)) n = 0;
  for (int i = 0; i < NF; ++i) {
    for (int a = 0; a < n; ++a) k[a] = PH[a * NF + i];
    lu_solve(n, S, pivot, k);
    for (int a = 0; a < n; ++a) PH[a * NF + i] = k[a]; /* K', from here on */
    dz[i] = dot(n, k, e);
  }
  if (!move_estimate(m, dz)) return;
  for (int i = 0; i < NF; ++i)
    for (int j = 0; j < NF; ++j) {
      sum = m->P[i * NF + j];
      for (int a = 0; a < n; ++a) {
        double seen = 0;
        for (int l = 0; l < NF; ++l) seen += H[a * NF + l] * m->P[l * NF + j];
        sum -= PH[a * NF + i] * seen;
      }
      m->AP[i * NF + j] = sum;
    }
  for (int i = 0; i < NF; ++i) {
    for (int a = 0; a < n; ++a) k[a] = dot(NF, m->AP + i * NF, H + a * NF);
    for (int j = 0; j < NF; ++j) {
      sum = m->AP[i * NF + j];
      for (int a = 0; a < n; ++a) sum += (PH[a * NF + i] * R[a] - k[a]) * PH[a * NF + j];
      m->next[i * NF + j] = sum;
    }
  }
  accept(m);
}
