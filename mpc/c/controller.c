/* The controller: observer, target, terminal cost, solver, and the ladder when it fails. The text of nmpc.py in C. */

#define REACHED 1e-4 /* share of an output's range */
#define VIOLATED 1e-4

static double unscaled_u(int i, double u) { return u_mid[i] + u_half[i] * u; }

/* references in units of the outputs, missing ones as before; 1 if one went missing */
static int take_reference(mpc_t *m, const double *r, int rows) {
  int lost = 0;
  for (int j = 0; j < NY; ++j) {
    int known = isfinite(m->r_last[j]) ? 1 : 0;
    double last = known ? m->r_last[j] : m->y[j] + m->d_n[j];
    for (int i = 0; i <= N; ++i) {
      double value = (r[(rows > 1 ? i : 0) * NY + j] - y_mid[j]) / y_range[j];
      if (isfinite(value)) last = value;
      else if (known && settings.Q[j] > 0) lost = 1;
      if (!i && isfinite(value)) m->r_last[j] = value;
      m->r[i][j] = last;
    }
  }
  return lost;
}

/* steady-state target for r (scaled), kept while r, d and w stay */
static void aim(mpc_t *m, const double *r) {
  double wanted[COUNTED][2], key[2 * NG + NW];
  const double *w = m->w + (NP - 1) * NW;
  memcpy(key, r, NG * sizeof *key);
  memcpy(key + NG, m->d_n, NG * sizeof *key);
  memcpy(key + 2 * NG, w, NW * sizeof *key);
  if (m->kept && !memcmp(key, m->key, sizeof key)) return;
  for (int i = 0; i < target_settings.count; ++i) {
    int j = target_settings.counted[i], wide = settings.Q[j] > 0;
    double low = settings.y_low[j], high = settings.y_high[j];
    if (wide) low = fmin(low, r[j]), high = fmax(high, r[j]);
    if (i < target_settings.points) low = high = r[j];
    wanted[i][0] = low - m->d_n[j], wanted[i][1] = high - m->d_n[j];
  }
  for (int i = 0; i < NW; ++i) m->sought.low[NU + i] = m->sought.high[NU + i] = w[i];
  m->kept = m->target_ok = solve_target(&m->sought, &m->target, &m->work, wanted, m->z);
  memcpy(m->key, key, sizeof key);
  outputs_at(m, m->z, m->work.y[0]);
  m->target_reached = m->target_ok;
  for (int i = 0; i < target_settings.points; ++i) {
    int j = target_settings.counted[i];
    if (fabs(m->work.y[0][j] + m->d_n[j] - r[j]) > REACHED) m->target_reached = 0;
  }
  weigh_end(m);
}

/* the target for r brought back into the soft bounds of outputs: beyond, it is not reachable */
static void aim_within(mpc_t *m, const double *r) {
  double held[NG];
  int beyond = 0;
  for (int j = 0; j < NG; ++j) {
    held[j] = r[j] - excess(&settings, j, r[j]);
    if (settings.Q[j] > 0 && fabs(held[j] - r[j]) > REACHED) beyond = 1;
  }
  aim(m, held);
  m->reachable = m->target_reached && !beyond;
}

/* cost of the moves U made admissible, which end in best if it is lower than all before */
static void compare(mpc_t *m, const double *U, double *least, int *who, int number) {
  Work *w = &m->work;
  double tried[NV];
  memcpy(tried, U, sizeof tried);
  limit(&settings, &m->now, tried);
  roll(&m->now, w, tried);
  double then = cost(&settings, &m->now, w, tried, w->x_try, w->y_try);
  if (!(then < *least)) return;
  *least = then, *who = number;
  memcpy(m->best, tried, sizeof tried);
}

static void guess(const mpc_t *m, int from_plan, double *U) {
  for (int k = 0; k < N; ++k)
    for (int i = 0; i < NU && (!k || block[k] != block[k - 1]); ++i)
      U[NU * block[k] + i] = from_plan ? (m->u_plan[k][i] - u_mid[i]) / u_half[i] : m->now.u_prev[i];
}

/* moves in U; returns a rung, or MPC_SHIFTED_PLAN where there is no plan of this step */
static int plan(mpc_t *m) {
  double report[2] = {0}, least = INFINITY, tried[2][NV], first[NV];
  int who = -1, attempts = m->has_plan ? 2 : 1;
  m->iterations = 0;
  for (int a = 0; a < attempts; ++a) {
    guess(m, m->has_plan && !a, m->U);
    int found = optimise(&settings, &m->now, &m->work, m->U, report, MAX_ITER, TOLERANCE, INFINITY);
    m->iterations += (int)report[1];
    m->cost = report[0] * COST_UNIT;
    if (found == SOLVED || (REAL_TIME && found == STOPPED)) {
      if (fabs(report[0]) < 1e300) return REAL_TIME ? MPC_REAL_TIME_ITERATION : MPC_SOLVED;
    }
    memcpy(tried[a], m->U, sizeof tried[a]);
  }
  guess(m, m->has_plan, first);
  compare(m, first, &least, &who, 0);
  for (int a = 0; a < attempts; ++a) compare(m, tried[a], &least, &who, a + 1);
  m->cost = who > 0 ? least * COST_UNIT : INFINITY;
  if (who <= 0) return MPC_SHIFTED_PLAN;
  memcpy(m->U, m->best, sizeof m->U);
  roll(&m->now, &m->work, m->U);
  return MPC_BEST_ITERATE;
}

/* the input of rung, or of the next below that there is */
static int choose(mpc_t *m, int rung, double *u) {
  if (rung == MPC_SHIFTED_PLAN && !(m->has_plan && m->left > 0))
    rung = m->target_ok ? MPC_STEADY_STATE_TARGET : MPC_LAST_INPUT;
  for (int i = 0; i < NU; ++i) {
    double last = unscaled_u(i, m->now.u_prev[i]);
    double wanted = rung < MPC_SHIFTED_PLAN             ? unscaled_u(i, m->U[i])
                    : rung == MPC_SHIFTED_PLAN          ? m->u_plan[0][i]
                    : rung == MPC_STEADY_STATE_TARGET   ? unscaled_u(i, m->z[BX + i])
                                                        : last;
    u[i] = clip(clip(wanted, last + u_fall[i], last + u_rise[i]), u_min[i], u_max[i]);
  }
  return rung;
}

/* one step passes: the plan of this step, or else the one at hand, shifted by one */
static void remember(mpc_t *m, int is_new) {
  if (is_new) {
    m->has_plan = 1, m->left = N;
    for (int k = 0; k < N; ++k)
      for (int i = 0; i < NU; ++i) m->u_plan[k][i] = unscaled_u(i, move(m->U, k)[i]);
    for (int k = 0; k < N; ++k)
      for (int j = 0; j < NY; ++j) m->y_plan[k][j] = y_mid[j] + y_range[j] * m->work.y_try[k][j];
  }
  for (int j = 0; j < NG; ++j) m->violated[j] = 0;
  for (int k = 0; is_new && k < N; ++k)
    for (int j = 0; j < NG; ++j) m->violated[j] |= fabs(excess(&settings, j, m->work.y_try[k][j])) > VIOLATED;
  if (!m->has_plan) return;
  memmove(m->u_plan[0], m->u_plan[1], (N - 1) * sizeof m->u_plan[0]);
  for (int i = 0; m->target_ok && i < NU; ++i) m->u_plan[N - 1][i] = unscaled_u(i, m->z[BX + i]);
  --m->left;
}

static int advance_controller(mpc_t *m, const double *y, const double *r, int rows, double *u) {
  double y_n[NG] = {0};
  for (int j = 0; j < NY; ++j) y_n[j] = (y[j] - y_mid[j]) / y_range[j];
  int complete = observe(m, y_n), lost = take_reference(m, r, rows), read = are_measured(m);
  if (!m->has_u) {
    for (int j = 0; j < NY; ++j) y_n[j] = m->y[j] + m->d_n[j];
    aim(m, y_n);
    memcpy(m->u_prev, m->z + BX, NU * sizeof *m->u_prev);
    m->has_u = 1;
  }
  for (int i = 0; i < NU; ++i) m->now.u_prev[i] = clip(m->u_prev[i], settings.u_low[i], settings.u_high[i]);
  aim_within(m, m->r[N]);
  place(m);
  memcpy(m->now.d, m->d_n, sizeof m->d_n);
  memcpy(m->now.r, m->r[1], sizeof m->now.r);
  memcpy(m->now.u_s, m->z + BX, sizeof m->now.u_s);
  int rung = plan(m), is_new = rung < MPC_SHIFTED_PLAN;
  m->ok = complete && read && !lost && (rung == MPC_SOLVED || rung == MPC_REAL_TIME_ITERATION);
  m->status = choose(m, rung, m->u);
  if (m->status == MPC_SOLVED && !complete) m->status = MPC_SOLVED_ON_PREDICTION;
  remember(m, is_new);
  for (int i = 0; i < NU; ++i) u[i] = m->u[i], m->u_prev[i] = (u[i] - u_mid[i]) / u_half[i];
  memcpy(m->u_prev + NU, m->w, NW * sizeof *m->w);
  return m->status;
}

int mpc_step(mpc_t *m, const double *y, const double *r, double *u) { return advance_controller(m, y, r, 1, u); }

int mpc_step_preview(mpc_t *m, const double *y, const double *r, double *u) {
  return advance_controller(m, y, r, N + 1, u);
}
