/* What the printed loops call: an exponential that they can take many of at a time, products and solutions. */
#include <math.h>
#include <string.h>

enum { TILE = 16 };

typedef double lanes __attribute__((vector_size(64), aligned(8)));

/* 2^k P(r), P interpolates exp at Chebyshev points of |r| <= ln 2 / 2; finite for all that are, NaN for NaN. */
static inline double exp_(double a)
{
  a = a > 709 ? 709 : a < -708 ? -708 : a;
  const double k = rint(a * 1.4426950408889634), r = (a - k * 0.6931471803691238) - k * 1.9082149292705877e-10;
  const double s = r * r, q = s * s;
  const double p0 = (1 + r) + (0.5000000000000019 + 0.1666666666666668 * r) * s;
  const double p4 = (0.04166666666648666 + 0.00833333333331949 * r) + (0.0013888888952696516 + 0.00019841269890340666 * r) * s;
  const double p8 = (2.4801485074105115e-05 + 2.7557240604663896e-06 * r) + (2.763279054211718e-07 + 2.511015364692893e-08 * r) * s;
  const long long bits = (long long)((int)k + 1023) << 52;
  double power;
  memcpy(&power, &bits, sizeof power);
  return (p0 + (p4 + p8 * q) * q) * power;
}

/* A tile of C: eight rows of A, two vectors of B */
static inline void tile(int k, int n, const double *A, int ra, int ca, const double *B, int rb, double *C)
{
  lanes left[8] = {0}, right[8] = {0};
  for (int l = 0; l < k; l++) {
    const lanes p = *(const lanes *)(B + rb * l), q = *(const lanes *)(B + rb * l + 8);
#pragma GCC unroll 8
    for (int a = 0; a < 8; a++) left[a] += A[ra * a + ca * l] * p, right[a] += A[ra * a + ca * l] * q;
  }
#pragma GCC unroll 8
  for (int a = 0; a < 8; a++) *(lanes *)(C + n * a) = left[a], *(lanes *)(C + n * a + 8) = right[a];
}

/* C (m, n) = A B, entry (i, l) of A (m, k) at A[ra i + ca l], entry (l, j) of B (k, n) at B[rb l + cb j]; packed: k n
   numbers, unused where cb = 1. */
static void product(int m, int k, int n, const double *A, int ra, int ca, const double *B, int rb, int cb,
                    double *packed, double *C)
{
  if (cb != 1) {
    for (int l = 0; l < k; l++)
      for (int j = 0; j < n; j++) packed[n * l + j] = B[rb * l + cb * j];
    B = packed, rb = n;
  }
  const int rows = m / 8 * 8, columns = n / TILE * TILE;
  for (int j = 0; j < columns; j += TILE)
    for (int i = 0; i < rows; i += 8) tile(k, n, A + ra * i, ra, ca, B + j, rb, C + n * i + j);
  for (int i = 0; i < m; i++) {
    const int start = i < rows ? columns : 0;
    for (int j = start; j < n; j++) C[n * i + j] = 0;
    for (int l = 0; l < k; l++)
      for (int j = start; j < n; j++) C[n * i + j] += A[ra * i + ca * l] * B[rb * l + j];
  }
}

static inline void swap(double *a, double *b)
{
  const double kept = *a;
  *a = *b, *b = kept;
}

/* X (n, k) with A X = B, entry (i, j) of A at A[ra i + ca j], of B at B[rb i + cb j]; the largest of a column leads.
   M: n n numbers. */
static void solve(int n, int k, const double *A, int ra, int ca, const double *B, int rb, int cb, double *restrict M,
                  double *restrict X)
{
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) M[n * i + j] = A[ra * i + ca * j];
    for (int j = 0; j < k; j++) X[k * i + j] = B[rb * i + cb * j];
  }
  for (int i = 0; i < n; i++) {
    int first = i;
    for (int r = i + 1; r < n; r++) first = fabs(M[n * r + i]) > fabs(M[n * first + i]) ? r : first;
    for (int j = i; j < n && first > i; j++) swap(M + n * i + j, M + n * first + j);
    for (int j = 0; j < k && first > i; j++) swap(X + k * i + j, X + k * first + j);
    for (int r = i + 1; r < n; r++) {
      const double factor = M[n * r + i] / M[n * i + i];
      for (int j = i + 1; j < n; j++) M[n * r + j] -= factor * M[n * i + j];
      for (int j = 0; j < k; j++) X[k * r + j] -= factor * X[k * i + j];
    }
  }
  for (int i = n - 1; i >= 0; i--) {
    for (int r = i + 1; r < n; r++)
      for (int j = 0; j < k; j++) X[k * i + j] -= M[n * i + r] * X[k * r + j];
    for (int j = 0; j < k; j++) X[k * i + j] /= M[n * i + i];
  }
}
