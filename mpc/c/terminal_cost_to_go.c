/* Terminal cost P = A' P A + C' Q C at the target, by doubling: the outputs' cost under a held input. terminal.py in C. */

#define DOUBLINGS 20

static void weigh_end(mpc_t *m) {
  Work *w = &m->work;
  double *P = m->P_end, *A = m->A, *T = m->T, *C = w->C[0];
  w->arg[0] = m->z, w->arg[1] = m->z + BX;
  w->res[0] = w->x[0], w->res[1] = w->y[0], w->res[2] = w->J[0], w->res[3] = C;
  call(w, base_cell);
  memcpy(A, w->J[0], sizeof m->A);
  memset(P, 0, sizeof m->P_end);
  memset(m->now.P, 0, sizeof m->now.P);
  m->now.hold = 0;
  if (!m->target_ok || !all_finite(BX * BX, A) || !all_finite(NG * BX, C)) return;
  for (int a = 0; a < BX; ++a)
    for (int b = 0; b < BX; ++b)
      for (int j = 0; j < NG; ++j) P[a * BX + b] += settings.Q[j] * C[a * NG + j] * C[b * NG + j];
  for (int turn = 0; turn < DOUBLINGS; ++turn) {
    double size = largest(BX * BX, A);
    if (size < 1e-9) {
      for (int a = 0; a < BX; ++a) memcpy(m->now.P + a * NX, P + a * BX, BX * sizeof *P);
      m->now.hold = 1;
      return;
    }
    if (size > 1e9) return;
    memset(T, 0, sizeof m->T);
    add_product(BX, BX, BX, P, A, BX, T, BX);
    for (int a = 0; a < BX; ++a)
      for (int b = 0; b < BX; ++b) P[a * BX + b] += dot(BX, A + b * BX, T + a * BX);
    memset(T, 0, sizeof m->T);
    add_product(BX, BX, BX, A, A, BX, T, BX);
    memcpy(A, T, sizeof m->A);
  }
}
