/* c += A b for A (m, n), b (n, cols), columns one after the other: four columns of A at a time, so that c is loaded and
   stored less often */
NOINLINE static void add_product(int m, int n, int cols, const double *A, const double *b, int ldb, double *c, int ldc) {
  for (int i = 0; i < cols; ++i) {
    double *restrict z = c + i * ldc;
    const double *y = b + i * ldb;
    int k = 0;
    for (; k + 3 < n; k += 4) {
      const double *restrict a = A + k * m;
      for (int j = 0; j < m; ++j) z[j] += a[j] * y[k] + a[j + m] * y[k + 1] + a[j + 2 * m] * y[k + 2] + a[j + 3 * m] * y[k + 3];
    }
    for (; k < n; ++k) for (int j = 0; j < m; ++j) z[j] += A[k * m + j] * y[k];
  }
}
