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
/* The same in tiles that stay in registers while k runs: up to six columns of c, and two vectors of its rows or one.
   `cols` is a number wherever a tile is written out, and its loops are unrolled. */
#if defined(__AVX512F__)
#define LANES 8
#elif defined(__AVX__)
#define LANES 4
#else
#define LANES 2
#endif
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif __GNUC__ >= 8
#define UNROLL _Pragma("GCC unroll 6")
#else
#define UNROLL
#endif
#define TILE static inline __attribute__((always_inline)) void
typedef double Lanes __attribute__((vector_size(LANES * sizeof(double)), aligned(sizeof(double)), may_alias));

TILE add_two(int cols, int m, int n, const double *a, const double *y, int ldb, double *z, int ldc) {
  Lanes s[6], t[6];
  UNROLL for (int i = 0; i < cols; ++i) s[i] = *(Lanes *)(z + i * ldc), t[i] = *(Lanes *)(z + i * ldc + LANES);
  for (int k = 0; k < n; ++k, a += m) {
    Lanes u = *(const Lanes *)a, v = *(const Lanes *)(a + LANES);
    UNROLL for (int i = 0; i < cols; ++i) s[i] += u * y[k + i * ldb], t[i] += v * y[k + i * ldb];
  }
  UNROLL for (int i = 0; i < cols; ++i) *(Lanes *)(z + i * ldc) = s[i], *(Lanes *)(z + i * ldc + LANES) = t[i];
}

/* one vector of rows, of which the first `done` have had theirs */
TILE add_one(int cols, int m, int n, const double *a, const double *y, int ldb, double *z, int ldc, int done) {
  Lanes s[6], zero = {0};
  UNROLL for (int i = 0; i < cols; ++i) s[i] = zero;
  for (int k = 0; k < n; ++k, a += m) {
    Lanes u = *(const Lanes *)a;
    UNROLL for (int i = 0; i < cols; ++i) s[i] += u * y[k + i * ldb];
  }
  UNROLL for (int i = 0; i < cols; ++i) {
    if (!done) *(Lanes *)(z + i * ldc) += s[i];
    for (int j = done; done && j < LANES; ++j) z[i * ldc + j] += s[i][j];
  }
}

TILE add_tile(int cols, int m, int n, const double *A, const double *b, int ldb, double *c, int ldc, int j) {
  int done = j + LANES > m ? j + LANES - m : 0;
  if (j + 2 * LANES <= m) add_two(cols, m, n, A + j, b, ldb, c + j, ldc);
  else add_one(cols, m, n, A + j - done, b, ldb, c + j - done, ldc, done);
}

/* one column, four vectors of its rows, the even and the odd k apart: no sum waits for the one before */
TILE add_four(int m, int n, const double *a, const double *y, double *z) {
  Lanes s[4], t[4], zero = {0};
  int k = 0;
  UNROLL for (int i = 0; i < 4; ++i) s[i] = *(Lanes *)(z + i * LANES), t[i] = zero;
  for (; k + 1 < n; k += 2, a += 2 * m) {
    UNROLL for (int i = 0; i < 4; ++i) s[i] += *(const Lanes *)(a + i * LANES) * y[k];
    UNROLL for (int i = 0; i < 4; ++i) t[i] += *(const Lanes *)(a + m + i * LANES) * y[k + 1];
  }
  for (; k < n; ++k) {
    UNROLL for (int i = 0; i < 4; ++i) s[i] += *(const Lanes *)(a + i * LANES) * y[k];
  }
  UNROLL for (int i = 0; i < 4; ++i) *(Lanes *)(z + i * LANES) = s[i] + t[i];
}

NOINLINE static void add_product(int m, int n, int cols, const double *A, const double *b, int ldb, double *c, int ldc) {
  int tiled = cols - cols % 2, j = 0;
  if (m < LANES) {
    add_columns(m, n, cols, A, b, ldb, c, ldc);
    return;
  }
  /* rows outside: those of A stay in the nearest cache for all columns */
  for (; tiled && j < m; j += j + 2 * LANES <= m ? 2 * LANES : LANES) {
    int i = 0;
    for (; i + 6 <= tiled; i += 6) add_tile(6, m, n, A, b + i * ldb, ldb, c + i * ldc, ldc, j);
    for (; i < tiled; i += 2) add_tile(2, m, n, A, b + i * ldb, ldb, c + i * ldc, ldc, j);
  }
  if (tiled == cols) return;
  b += tiled * ldb, c += tiled * ldc;
  for (j = 0; j + 4 * LANES <= m; j += 4 * LANES) add_four(m, n, A + j, b, c + j);
  for (; j < m; j += j + 2 * LANES <= m ? 2 * LANES : LANES) add_tile(1, m, n, A, b, ldb, c, ldc, j);
}
#else
#define add_product add_columns
#endif
