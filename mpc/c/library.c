/* The condensed solver as a library of the machine that it is compiled on. */

size_t work_size(void) { return sizeof(Work); }
/* where in Work the rows at work begin, and where their count ends: what the next call starts from */
size_t rows_offset(void) { return offsetof(Work, q.row); }
size_t rows_end(void) { return offsetof(Work, q.count) + sizeof(int); }

/* U (NV) first guess and result; x (N, NX), y (N, NY) along it; report: cost, iterations. Returns how it ended. */
int solve(const Settings *s, const Now *p, Work *w, double *U, double *x, double *y, double *report, int max_iter,
          double tol, double max_time) {
  int status = optimise(s, p, w, U, report, max_iter, tol, max_time);
  if (status == BROKEN) return status;
  memcpy(x, w->x_try[1], N * NX * sizeof *x);
  memcpy(y, w->y_try[0], N * NY * sizeof *y);
  return status;
}
