/* Vector arithmetic of the generated kernels: what one statement of a time step can be.

   A column of n numbers takes SIZE(n) places. Compiled for one record (default) they are its n numbers and padding up
   to whole vectors, whose content means nothing. Compiled with -DBATCH, LANES records run side by side, with -DNARROW
   half as many: number i of record l is at [i * LANES + l]. The generated text is the same for all. */
#include <string.h>

#ifdef SINGLE
typedef float real;
typedef int whole;
#else
typedef double real;
typedef long long whole;
#endif
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define VL ((int)(BYTES / sizeof(real)))
typedef real vec __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
typedef whole mask __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));

typedef double doubles __attribute__((vector_size(8 * VL), aligned(8), may_alias)); /* as many as a vec */

#ifdef BATCH
#ifdef NARROW
#define LANES VL
#else
#define LANES (2 * VL)
#endif
#define SIZE(n) ((n) * LANES)
#define ROWS(n) (n) /* rows of a packed matrix */
#define WIDE 1      /* columns of a matrix that a vector spans in its gradient */
#define ONE(a, i) GET((a) + (i) % LANES) /* a single number in front of a column */
#else
#define LANES 1
#define SIZE(n) (((n) + VL - 1) / VL * VL)
#define ROWS(n) SIZE(n)
#define WIDE VL
#define ONE(a, i) ((vec){0} + (a)[0])
#endif
#define ROOM(n) (SIZE(n) + VL) /* a slice may be read a vector beyond its end */
/* Padding starts as zero: left as found it may be denormal numbers, and arithmetic on those takes a hundred times longer */
#define LOCAL(name, n)                                  \
  real name[ROOM(n)] __attribute__((aligned(64)));      \
  PUT(name + SIZE(n) - VL, (vec){0}), PUT(name + SIZE(n), (vec){0})
#define INLINE static inline __attribute__((always_inline))
#define EACH(n) for (int i = 0; i < SIZE(n); i += VL)
#define UNROLL _Pragma("GCC unroll 16")

INLINE vec GET(const real *a) { return *(const vec *)a; }
INLINE void PUT(real *a, vec v) { *(vec *)a = v; }

INLINE vec choose(mask m, vec a, vec b) { return (vec)((m & (mask)a) | (~m & (mask)b)); }
INLINE vec relu_(vec a) { return (vec)(~(mask)(a < 0) & (mask)a); }
INLINE vec relu_back(vec bar, vec a) { return (vec)(~(mask)(a <= 0) & (mask)bar); }

/* 2^k P(a - k ln 2), P interpolates exp at Chebyshev points of |r| <= ln 2 / 2: relative error 3e-16 (float: 1e-7).
   Arguments are held where the result is a normal number. */
INLINE vec exp_(vec a)
{
#ifdef SINGLE
  const real limit = 87, magic = 12582912, hi = 0.693145751953125f, lo = 1.428606765330187e-06f;
#else
  const real limit = 708, magic = 6755399441055744.0, hi = 0.6931471803691238, lo = 1.9082149292705877e-10;
#endif
  const vec high = (vec){0} + limit;
  a = choose(a > high, high, choose(a < -high, -high, a));
  const vec shifted = a * (real)1.4426950408889634 + magic; /* rounds to whole numbers, held in the lowest bits */
  const vec k = shifted - magic, r = (a - k * hi) - k * lo, s = r * r, q = s * s;
#ifdef SINGLE
  const vec p = (1 + 1.0000000379432992f * r) + (0.5000000047401394f + 0.1666641450716956f * r) * s +
                (0.04166635163844457f + 0.008375210200870016f * r + 0.0013941213100006334f * s) * q;
  return (vec)((mask)p + ((mask)shifted << 23));
#else
  const vec p0 = (1 + r) + (0.5000000000000019 + 0.1666666666666668 * r) * s;
  const vec p4 = (0.04166666666648666 + 0.00833333333331949 * r) + (0.0013888888952696516 + 0.00019841269890340666 * r) * s;
  const vec p8 = (2.4801485074105115e-05 + 2.7557240604663896e-06 * r) + (2.763279054211718e-07 + 2.511015364692893e-08 * r) * s;
  return (vec)((mask)(p0 + (p4 + p8 * q) * q) + ((mask)shifted << 52));
#endif
}

INLINE vec sigmoid_(vec a) { return 1 / (1 + exp_(-a)); }
INLINE vec tanh_(vec a) { return 1 - 2 / (1 + exp_(2 * a)); }

/* n numbers (rows of records) copied; nothing behind them is touched */
INLINE void copy(int n, const real *from, real *to) { memcpy(to, from, n * LANES * sizeof(real)); }
INLINE void zero(int n, real *to) { memset(to, 0, n * LANES * sizeof(real)); }

INLINE void total(int n, const real *a, real *to)
{
  for (int l = 0; l < LANES; l++) {
    real sum = 0;
    for (int i = 0; i < n; i++) sum += a[i * LANES + l];
    to[l] = sum;
  }
}

/* Parameters laid out for the loops: a column, and a matrix (m, k) by columns of `rows` places each */
INLINE void pack_column(int n, const double *p, int down, double factor, real *to)
{
  for (int i = 0; i < n; i++)
    for (int l = 0; l < LANES; l++) to[i * LANES + l] = (real)(factor * p[i * down]);
}

INLINE void pack_matrix(int m, int k, int rows, const double *p, int down, int right, double factor,
                        real *to)
{
  for (int j = 0; j < k; j++)
    for (int i = 0; i < m; i++) to[j * rows + i] = (real)(factor * p[i * down + j * right]);
}

#ifdef BATCH
INLINE void product_tile(int tile, int k, int rows, const real *w, const real *x, real *y)
{
  vec sum[8][LANES / VL], a[LANES / VL];
  UNROLL for (int i = 0; i < tile; i++) UNROLL for (int h = 0; h < LANES / VL; h++) sum[i][h] = (vec){0};
  for (int j = 0; j < k; j++) {
    UNROLL for (int h = 0; h < LANES / VL; h++) a[h] = GET(x + j * LANES + h * VL);
    UNROLL for (int i = 0; i < tile; i++)
      UNROLL for (int h = 0; h < LANES / VL; h++) sum[i][h] += w[j * rows + i] * a[h];
  }
  UNROLL for (int i = 0; i < tile; i++)
    UNROLL for (int h = 0; h < LANES / VL; h++) PUT(y + i * LANES + h * VL, sum[i][h]);
}

/* y = W x, W (rows, k) packed; one copy of the code serves all sizes */
static void product(int rows, int k, const real *w, const real *x, real *y)
{
  for (int i = 0, tile; i < rows; i += tile) {
    tile = rows - i >= 8 ? 8 : rows - i >= 4 ? 4 : rows - i >= 2 ? 2 : 1;
    switch (tile) {
      case 8: product_tile(8, k, rows, w + i, x, y + i * LANES); break;
      case 4: product_tile(4, k, rows, w + i, x, y + i * LANES); break;
      case 2: product_tile(2, k, rows, w + i, x, y + i * LANES); break;
      default: product_tile(1, k, rows, w + i, x, y + i * LANES);
    }
  }
}
#else
/* `width` vectors of rows, `phases` independent sums: enough to hide the latency of a multiply-add */
INLINE void product_tile(int width, int phases, int k, int rows, const real *w, const real *x, real *y)
{
  vec sum[4][4];
  int j = 0;
  UNROLL for (int a = 0; a < phases; a++) UNROLL for (int v = 0; v < width; v++) sum[a][v] = (vec){0};
  for (; j + phases <= k; j += phases)
    UNROLL for (int a = 0; a < phases; a++)
      UNROLL for (int v = 0; v < width; v++) sum[a][v] += GET(w + (j + a) * rows + v * VL) * x[j + a];
  for (; j < k; j++) UNROLL for (int v = 0; v < width; v++) sum[0][v] += GET(w + j * rows + v * VL) * x[j];
  UNROLL for (int v = 0; v < width; v++) {
    UNROLL for (int a = 1; a < phases; a++) sum[0][v] += sum[a][v];
    PUT(y + v * VL, sum[0][v]);
  }
}

/* y = W x, W (rows, k) packed, rows a multiple of VL */
INLINE void product(int rows, int k, const real *w, const real *x, real *y)
{
  int i = 0;
  for (; i + 4 * VL <= rows; i += 4 * VL) product_tile(4, 2, k, rows, w + i, x, y + i);
  const int rest = rows % (4 * VL) / VL;
  if (rest == 3) product_tile(3, 2, k, rows, w + i, x, y + i);
  if (rest == 2) product_tile(2, 4, k, rows, w + i, x, y + i);
  if (rest == 1) product_tile(1, 4, k, rows, w + i, x, y + i);
}
#endif

/* g (m, n) += the sum of a b' over a block of steps, in a tile of `high` rows and `wide` vectors */
INLINE void outer_tile(int high, int wide, int n, int count, const real *a, int a_step, const real *b, int b_step,
                       double *g, int down, int right, double factor)
{
  vec sums[4][4];
  UNROLL for (int i = 0; i < high; i++) UNROLL for (int j = 0; j < wide; j++) sums[i][j] = (vec){0};
  for (int t = 0; t < count; t++)
    UNROLL for (int h = 0; h < LANES; h += VL)
      UNROLL for (int i = 0; i < high; i++)
        UNROLL for (int j = 0; j < wide; j++)
#ifdef BATCH
          sums[i][j] += GET(a + t * a_step + i * LANES + h) * GET(b + t * b_step + j * LANES + h);
#else
          sums[i][j] += a[t * a_step + i] * GET(b + t * b_step + j * VL);
#endif
#ifndef BATCH
  if (right == 1 && n >= wide * VL) { /* whole vectors of a row */
    UNROLL for (int i = 0; i < high; i++)
      UNROLL for (int j = 0; j < wide; j++)
        *(doubles *)(g + i * down + j * VL) += factor * __builtin_convertvector(sums[i][j], doubles);
    return;
  }
#endif
  real all[4 * 4 * VL];
  UNROLL for (int i = 0; i < high; i++) UNROLL for (int j = 0; j < wide; j++) PUT(all + (i * wide + j) * VL, sums[i][j]);
  for (int i = 0; i < high; i++)
    for (int j = 0; j < wide * WIDE && j < n; j++) {
      real sum = 0;
      UNROLL for (int l = 0; l < VL / WIDE; l++) sum += all[(i * wide * WIDE + j) * (VL / WIDE) + l];
      g[i * down + j * right] += factor * sum;
    }
}

/* The whole of it. Vectors run along the columns; along the rows if that wastes less padding. */
static void outer(int m, int n, int count, const real *a, int a_step, const real *b, int b_step, double *g, int down,
                  int right, double factor)
{
  if (n * SIZE(m) < m * SIZE(n)) {
    outer(n, m, count, b, b_step, a, a_step, g, right, down, factor);
    return;
  }
  for (int i = 0, high; i < m; i += high) {
    high = m - i >= 4 ? 4 : m - i >= 2 ? 2 : 1;
    for (int j = 0, wide; j < n; j += wide * WIDE) {
      const int rest = (n - j + WIDE - 1) / WIDE;
      wide = rest >= 4 ? 4 : rest >= 2 ? 2 : 1;
      const real *l = a + i * LANES, *r = b + j * LANES;
      double *to = g + i * down + j * right;
#define TILE_OF(h, w) \
  case 10 * h + w: outer_tile(h, w, n - j, count, l, a_step, r, b_step, to, down, right, factor); break;
      switch (10 * high + wide) {
        TILE_OF(4, 4) TILE_OF(4, 2) TILE_OF(4, 1) TILE_OF(2, 4) TILE_OF(2, 2) TILE_OF(2, 1)
        TILE_OF(1, 4) TILE_OF(1, 2) TILE_OF(1, 1)
      }
    }
  }
}

/* g (n) += the sum of a over a block of steps */
INLINE void column(int n, int count, const real *a, int a_step, double *g, int down, double factor)
{
  for (int i = 0; i < n; i++) {
    real sum = 0;
    for (int t = 0; t < count; t++)
      for (int l = 0; l < LANES; l++) sum += a[t * a_step + i * LANES + l];
    g[i * down] += factor * sum;
  }
}
