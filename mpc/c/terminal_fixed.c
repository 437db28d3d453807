/* A given terminal cost, where there is a target. */
static void weigh_end(mpc_t *m) {
  for (int i = 0; i < NX * NX; ++i) m->now.P[i] = m->target_ok ? end_weight[i] : 0;
  m->now.hold = m->target_ok ? HOLD : 0;
}
