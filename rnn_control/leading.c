/* The right singular vector of the largest singular value, by squaring A'A until it has rank one. */
#include <math.h>

enum { TILE = 16, SQUARINGS = 50 };

typedef double lanes __attribute__((vector_size(64), aligned(8)));

/* C = A' A for A (m, n), n a multiple of TILE: four rows at a time, two vectors wide, half of them mirrored. */
static void gram(int m, int n, const double *restrict A, double *restrict C)
{
  for (int i = 0; i < n; i += 4)
    for (int j = i / TILE * TILE; j < n; j += TILE) {
      lanes left[4] = {0}, right[4] = {0};
      for (int k = 0; k < m; k++) {
        const lanes p = *(const lanes *)(A + n * k + j), q = *(const lanes *)(A + n * k + j + 8);
        for (int a = 0; a < 4; a++) left[a] += A[n * k + i + a] * p, right[a] += A[n * k + i + a] * q;
      }
      for (int a = 0; a < 4; a++)
        for (int b = 0; b < TILE; b++)
          C[n * (i + a) + j + b] = C[n * (j + b) + i + a] = b < 8 ? left[a][b] : right[a][b - 8];
    }
}

/* v of M (rows, columns), entry (i, j) at M[rs i + cs j]; work: 2 max(rows, n) n numbers, n as below. Of trace one, a
   positive semidefinite matrix has sum of squares one if its rank is one, and keeps it if its eigenvalues are zero or
   equal: any of their vectors will do. What is left beside v then, below 1e-5, is taken to the power of four. */
static void leading(int rows, int columns, const double *M, int rs, int cs, double *work, double *v)
{
  const int n = (columns + TILE - 1) / TILE * TILE, tall = rows > n ? rows : n;
  double *A = work, *B = work + tall * n, largest = 0, before = 0;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < columns; j++) largest = fmax(largest, fabs(M[rs * i + cs * j]));
  for (int j = 0; j < columns; j++) v[j] = j == 0;
  if (largest == 0) return;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < n; j++) A[n * i + j] = j < columns ? M[rs * i + cs * j] / largest : 0;
  gram(rows, n, A, B);
  for (int step = 0; step < SQUARINGS; step++) {
    double trace = 0, squares = 0, sum[TILE] = {0}, *full = B;
    for (int i = 0; i < n; i++) trace += B[n * i + i];
    for (int i = 0; i < n * n; i += TILE)
      for (int a = 0; a < TILE; a++) sum[a] += (B[i + a] /= trace) * B[i + a];
    for (int a = 0; a < TILE; a++) squares += sum[a];
    if (!(fabs(squares - before) > 1e-15) || squares > 1 - 1e-5) break;
    gram(n, n, B, A);
    B = A, A = full, before = squares;
  }
  for (int j = 0; j < columns; j++) v[j] = 1 + cos(j);
  for (int power = 0; power < 4; power++) {
    double square = 0;
    for (int i = 0; i < columns; i++) {
      A[i] = 0;
      for (int j = 0; j < columns; j++) A[i] += B[n * i + j] * v[j];
      square += A[i] * A[i];
    }
    for (int i = 0; i < columns; i++) v[i] = A[i] / sqrt(square);
  }
}
