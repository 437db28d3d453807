/* c += A b for A (m, n), b (n, cols), columns one after the other: four columns of A at a time, so that c is loaded and
   stored less often */
static void add_columns(int m, int n, int cols, const double *A, const double *b, int ldb, double *c, int ldc) {
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

#if defined(__GNUC__) && (defined(__AVX__) || defined(__SSE2__) || defined(__ARM_NEON))
/* The same in tiles that stay in registers while k runs: four columns of c, and two vectors of its rows or one. */
#if defined(__AVX512F__)
#define LANES 8
#elif defined(__AVX__)
#define LANES 4
#else
#define LANES 2
#endif
typedef double Lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));

static void add_two(int m, int n, const double *a, const double *y, int ldb, double *z, int ldc) {
  Lanes s[4], t[4];
  for (int i = 0; i < 4; ++i) s[i] = *(Lanes *)(z + i * ldc), t[i] = *(Lanes *)(z + i * ldc + LANES);
  for (int k = 0; k < n; ++k, a += m) {
    Lanes u = *(const Lanes *)a, v = *(const Lanes *)(a + LANES);
    s[0] += u * y[k], s[1] += u * y[k + ldb], s[2] += u * y[k + 2 * ldb], s[3] += u * y[k + 3 * ldb];
    t[0] += v * y[k], t[1] += v * y[k + ldb], t[2] += v * y[k + 2 * ldb], t[3] += v * y[k + 3 * ldb];
  }
  for (int i = 0; i < 4; ++i) *(Lanes *)(z + i * ldc) = s[i], *(Lanes *)(z + i * ldc + LANES) = t[i];
}

/* one vector of rows, of which the first `done` have had theirs */
static void add_one(int m, int n, const double *a, const double *y, int ldb, double *z, int ldc, int done) {
  Lanes s[4] = {{0}, {0}, {0}, {0}};
  for (int k = 0; k < n; ++k, a += m) {
    Lanes u = *(const Lanes *)a;
    s[0] += u * y[k], s[1] += u * y[k + ldb], s[2] += u * y[k + 2 * ldb], s[3] += u * y[k + 3 * ldb];
  }
  if (!done) {
    for (int i = 0; i < 4; ++i) *(Lanes *)(z + i * ldc) += s[i];
    return;
  }
  for (int i = 0; i < 4; ++i)
    for (int j = done; j < LANES; ++j) z[i * ldc + j] += s[i][j];
}

NOINLINE static void add_product(int m, int n, int cols, const double *A, const double *b, int ldb, double *c, int ldc) {
  int tiled = m < LANES ? 0 : cols - cols % 4, last = m - LANES, j = 0;
  /* rows outside: those of A stay in the nearest cache for all columns */
  for (; j + 2 * LANES <= m; j += 2 * LANES)
    for (int i = 0; i < tiled; i += 4) add_two(m, n, A + j, b + i * ldb, ldb, c + i * ldc + j, ldc);
  for (; j + LANES <= m; j += LANES)
    for (int i = 0; i < tiled; i += 4) add_one(m, n, A + j, b + i * ldb, ldb, c + i * ldc + j, ldc, 0);
  for (int i = 0; j < m && i < tiled; i += 4) add_one(m, n, A + last, b + i * ldb, ldb, c + i * ldc + last, ldc, j - last);
  add_columns(m, n, cols - tiled, A, b + tiled * ldb, ldb, c + tiled * ldc, ldc);
}
#else
#define add_product add_columns
#endif
