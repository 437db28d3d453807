/* The condensed solver as a library of the machine that it is compiled on. */

/* of scales.py, in its order */
typedef struct {
  double x_mid[NX], x_half[NX], u_mid[NU], u_half[NU], y_mid[NG], y_range[NG];
} Scales;

/* One controller in one piece, since a call from Python takes the longer the more it is given. What comes and goes is in
   its units, but for P: moves U, first guess and result; states and outputs along them. report: cost, iterations. */
typedef struct {
  Settings settings;
  Scales scales;
  double max_iter, tol, max_time, report[2], U[NV], x[N * NX], y[N * NG];
  Now now;
  Work work;
} Task;

static void scale(int rows, int n, const double *middle, const double *unit, double *v) {
  for (; rows > 0; --rows, v += n)
    for (int i = 0; i < n; ++i) v[i] = (v[i] - (middle ? middle[i] : 0)) / unit[i];
}

static void unscale(int rows, int n, const double *middle, const double *unit, const double *from, double *to) {
  for (; rows > 0; --rows, from += n, to += n)
    for (int i = 0; i < n; ++i) to[i] = middle[i] + unit[i] * from[i];
}

static void take(Task *t) {
  const Scales *s = &t->scales;
  Now *p = &t->now;
  scale(1, NX, s->x_mid, s->x_half, p->x), scale(1, NX, s->x_mid, s->x_half, p->x_s);
  scale(1, NU, s->u_mid, s->u_half, p->u_prev), scale(1, NU, s->u_mid, s->u_half, p->u_s);
  scale(1, NU, NULL, s->u_half, p->shift), scale(1, NG, NULL, s->y_range, p->d);
  scale(N, NG, s->y_mid, s->y_range, p->r[0]);
}

static void take_guess(Task *t) { scale(NB, NU, t->scales.u_mid, t->scales.u_half, t->U); }

static int give(Task *t, int status) {
  const Scales *s = &t->scales;
  unscale(NB, NU, s->u_mid, s->u_half, t->U, t->U);
  unscale(N, NX, s->x_mid, s->x_half, t->work.x_try[1], t->x);
  unscale(N, NG, s->y_mid, s->y_range, t->work.y_try[0], t->y);
  return status;
}

/* Returns how it ended. */
int solve(Task *t) {
  take(t), take_guess(t);
  return give(t, optimise(&t->settings, &t->now, &t->work, t->U, t->report, (int)t->max_iter, t->tol, t->max_time));
}

/* a real-time iteration: before state and output disturbance are known, and after */
int prepare(Task *t) {
  take(t), take_guess(t);
  return get_ready(&t->settings, &t->now, &t->work, t->U);
}
int finish(Task *t) {
  take(t);
  return give(t, feed_back(&t->settings, &t->now, &t->work, t->U, t->report, t->tol));
}

/* the rest point z (NX + NU) that is wanted, or the nearest one, from the previous one; 0 if none was found */
int find_rest(const TargetSettings *t, Target *m, Work *w, double (*wanted)[2], double *z) {
  return solve_target(t, m, w, wanted, z);
}
size_t rest_size(void) { return sizeof(Target); }

size_t work_size(void) { return sizeof(Work); }
size_t task_size(void) { return sizeof(Task); }
/* where in Task the rows at work begin, and where their count ends: what the next call starts from */
size_t rows_offset(void) { return offsetof(Task, work.q.row); }
size_t rows_end(void) { return offsetof(Task, work.q.count) + sizeof(int); }
