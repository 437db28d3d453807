/* The condensed solver as a library of the machine that it is compiled on. */

size_t work_size(void) { return sizeof(Work); }
/* where in Work the rows at work begin, and where their count ends: what the next call starts from */
size_t rows_offset(void) { return offsetof(Work, q.row); }
size_t rows_end(void) { return offsetof(Work, q.count) + sizeof(int); }

/* moves (NV), first guess and result; states and outputs along them */
typedef struct { double U[NV], x[N * NX], y[N * NG]; } Plan;

static int give(const Work *w, int status, Plan *plan) {
  if (status == BROKEN) return status;
  memcpy(plan->x, w->x_try[1], sizeof plan->x);
  memcpy(plan->y, w->y_try[0], sizeof plan->y);
  return status;
}

/* report: cost, iterations. Returns how it ended. */
int solve(const Settings *s, const Now *p, Work *w, Plan *plan, double *report, int max_iter, double tol,
          double max_time) {
  return give(w, optimise(s, p, w, plan->U, report, max_iter, tol, max_time), plan);
}

/* a real-time iteration: before the state and the output disturbance of p are known, and after */
int prepare(const Settings *s, const Now *p, Work *w, const Plan *plan) { return get_ready(s, p, w, plan->U); }
int finish(const Settings *s, const Now *p, Work *w, Plan *plan, double *report, double tol) {
  return give(w, feed_back(s, p, w, plan->U, report, tol), plan);
}

/* the rest point z (NX + NU) that is wanted, or the nearest one, from the previous one; 0 if none was found */
int find_rest(const TargetSettings *t, Target *m, Work *w, double (*wanted)[2], double *z) {
  return solve_target(t, m, w, wanted, z);
}
size_t rest_size(void) { return sizeof(Target); }
