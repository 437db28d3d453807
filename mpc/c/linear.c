/* Dense linear equations; matrices have their rows one after the other. */

/* A (n, n) becomes its factors with partial pivoting; 0 if it is singular */
static int lu(int n, double *A, int *pivot) {
  for (int k = 0; k < n; ++k) {
    int p = k;
    for (int i = k + 1; i < n; ++i)
      if (fabs(A[i * n + k]) > fabs(A[p * n + k])) p = i;
    pivot[k] = p;
    if (!(fabs(A[p * n + k]) > 0)) return 0;
    for (int j = 0; p != k && j < n; ++j) {
      double keep = A[k * n + j];
      A[k * n + j] = A[p * n + j], A[p * n + j] = keep;
    }
    for (int i = k + 1; i < n; ++i) {
      double factor = A[i * n + k] /= A[k * n + k];
      for (int j = k + 1; j < n; ++j) A[i * n + j] -= factor * A[k * n + j];
    }
  }
  return 1;
}

static void swap(double *a, double *b) {
  double keep = *a;
  *a = *b, *b = keep;
}

/* b (n) becomes A^-1 b */
static void lu_solve(int n, const double *A, const int *pivot, double *b) {
  for (int k = 0; k < n; ++k) swap(b + k, b + pivot[k]);
  for (int i = 1; i < n; ++i) b[i] -= dot(i, A + i * n, b);
  for (int i = n - 1; i >= 0; --i) b[i] = (b[i] - dot(n - 1 - i, A + i * n + i + 1, b + i + 1)) / A[i * n + i];
}

/* b (n) becomes A'^-1 b */
static void lu_solve_transposed(int n, const double *A, const int *pivot, double *b) {
  for (int i = 0; i < n; ++i) {
    b[i] /= A[i * n + i];
    for (int j = i + 1; j < n; ++j) b[j] -= A[i * n + j] * b[i];
  }
  for (int i = n - 1; i > 0; --i)
    for (int j = 0; j < i; ++j) b[j] -= A[i * n + j] * b[i];
  for (int k = n - 1; k >= 0; --k) swap(b + k, b + pivot[k]);
}

/* x (n) the shortest with A x = b, for A (m, n) with m <= n, which becomes orthonormal rows; L (m, m); b is lost.
   Gram-Schmidt, twice for the rounding. 0 if the rows of A depend on one another. */
static int least_norm(int m, int n, double *A, double *L, double *b, double *x) {
  memset(x, 0, n * sizeof *x);
  for (int i = 0; i < m; ++i) {
    double *a = A + i * n, before = dot(n, a, a);
    memset(L + i * m, 0, m * sizeof *L);
    for (int turn = 0; turn < 2; ++turn)
      for (int j = 0; j < i; ++j) {
        double part = dot(n, a, A + j * n);
        L[i * m + j] += part;
        for (int k = 0; k < n; ++k) a[k] -= part * A[j * n + k];
      }
    double after = dot(n, a, a);
    if (!(after > 1e-28 * before)) return 0;
    L[i * m + i] = sqrt(after);
    b[i] = (b[i] - dot(i, L + i * m, b)) / L[i * m + i];
    for (int k = 0; k < n; ++k) a[k] /= L[i * m + i], x[k] += b[i] * a[k];
  }
  return 1;
}
