/* Start, manual operation, names. */

void mpc_init(mpc_t *m) {
  memset(m, 0, sizeof *m);
  memcpy(m->x, start, sizeof m->x);
  memcpy(m->z, target_start, sizeof m->z);
  m->sought = target_settings;
  for (int j = 0; j < NY; ++j) m->r_last[j] = NAN;
  for (int i = 0; i < NU; ++i) m->u[i] = unscaled_u(i, target_start[BX + i]);
}

void mpc_hold(mpc_t *m, const double *u0) {
  mpc_init(m);
  mpc_follow(m, u0);
}

void mpc_follow(mpc_t *m, const double *u) {
  for (int i = 0; i < NU; ++i) m->u[i] = u[i], m->u_prev[i] = (u[i] - u_mid[i]) / u_half[i];
  m->has_u = 1, m->has_plan = 0, m->left = 0;
}

const char *mpc_status_name(int status) {
  static const char *names[] = {"solved",       "solved on prediction", "real-time iteration", "best iterate",
                                "shifted plan", "steady-state target",  "last input"};
  return status >= MPC_SOLVED && status <= MPC_LAST_INPUT ? names[status] : "unknown";
}
