/* The right singular vector of the largest singular value, by squaring A'A until it has rank one. */
enum { SQUARINGS = 50 };

/* v of M (rows, columns), entry (i, j) at M[rs i + cs j]; work: 2 max(rows, n) n numbers, n as below. Of trace one, a
   positive semidefinite matrix has sum of squares one if its rank is one, and keeps it if its eigenvalues are zero or
   equal: any of their vectors will do. What is left beside v then, below 1e-2, is taken to the power of six: that of
   the heaviest column and of five products. */
static void leading(int rows, int columns, const double *M, int rs, int cs, double *work, double *v)
{
  const int n = (columns + TILE - 1) / TILE * TILE, tall = rows > n ? rows : n;
  double *A = work, *B = work + tall * n, each[TILE] = {0}, largest = 0, before = 0, square = 0;
  for (int j = 0; j < columns; j++) v[j] = j == 0;
  for (int i = 0; i < rows; i++)
    for (int j = 0; j < n; j++) A[n * i + j] = j < columns ? M[rs * i + cs * j] : 0;
  for (int i = 0; i < rows * n; i += TILE)
    for (int a = 0; a < TILE; a++) each[a] = fabs(A[i + a]) > each[a] ? fabs(A[i + a]) : each[a];
  for (int a = 0; a < TILE; a++) largest = fmax(largest, each[a]);
  if (largest == 0) return;
  for (int i = 0; i < rows * n; i += TILE)
    for (int a = 0; a < TILE; a++) A[i + a] /= largest;
  product(n, rows, n, A, 1, n, A, n, 1, 0, B);
  for (int step = 0; step < SQUARINGS; step++) {
    double trace = 0, squares = 0, sum[TILE] = {0}, *full = B;
    for (int i = 0; i < n; i++) trace += B[n * i + i];
    for (int i = 0; i < n * n; i += TILE)
      for (int a = 0; a < TILE; a++) sum[a] += (B[i + a] *= 1 / trace) * B[i + a];
    for (int a = 0; a < TILE; a++) squares += sum[a];
    if (!(fabs(squares - before) > 1e-15) || squares > 1 - 1e-2) break;
    product(n, n, n, B, 1, n, B, n, 1, 0, A);
    B = A, A = full, before = squares;
  }
  int heaviest = 0;
  for (int i = 0; i < n; i++) heaviest = B[n * i + i] > B[n * heaviest + heaviest] ? i : heaviest;
  const double *from = B + n * heaviest;
  for (int power = 0; power < 5; from = A + n * power++)
    for (int i = 0; i < n; i += 8) {
      lanes sum = {0};
      for (int k = 0; k < n; k++) sum += from[k] * *(lanes *)(B + n * k + i);
      *(lanes *)(A + n * power + i) = sum;
    }
  for (int j = 0; j < n; j++) square += from[j] * from[j];
  for (int j = 0; j < columns; j++) v[j] = from[j] / sqrt(square);
}
