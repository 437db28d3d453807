/* Terminal cost P = A' P A + C' Q C at the target, by doubling: the outputs' cost under a held input. terminal.py in C. */

#define DOUBLINGS 20

static void weigh_end(mpc_t *m) {
  Work *w = &m->work;
  double *P = m->now.P, *A = m->A, *T = m->T, *C = w->C[0];
  w->arg[0] = m->z, w->arg[1] = m->z + NX;
  w->res[0] = w->x[0], w->res[1] = w->y[0], w->res[2] = w->J[0], w->res[3] = C;
  call(w, model_cell);
  memcpy(A, w->J[0], sizeof m->A);
  memset(P, 0, sizeof m->now.P);
  m->now.hold = 0;
  if (!m->target_ok || !all_finite(NX * NX, A) || !all_finite(NG * NX, C)) return;
  for (int a = 0; a < NX; ++a)
    for (int b = 0; b < NX; ++b)
      for (int j = 0; j < NG; ++j) P[a * NX + b] += settings.Q[j] * C[a * NG + j] * C[b * NG + j];
  for (int turn = 0; turn < DOUBLINGS; ++turn) {
    double size = largest(NX * NX, A);
    if (size < 1e-9) {
      m->now.hold = 1;
      return;
    }
    if (size > 1e9) break;
    memset(T, 0, sizeof m->T);
    add_product(NX, NX, NX, P, A, NX, T, NX);
    for (int a = 0; a < NX; ++a)
      for (int b = 0; b < NX; ++b) P[a * NX + b] += dot(NX, A + b * NX, T + a * NX);
    memset(T, 0, sizeof m->T);
    add_product(NX, NX, NX, A, A, NX, T, NX);
    memcpy(A, T, sizeof m->A);
  }
  memset(P, 0, sizeof m->now.P);
}
