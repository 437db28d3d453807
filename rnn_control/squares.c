/* Gauss-Newton matrices of whole records, over the generated step: rows of the Jacobian, and the sum of their squares.

   Rows lie in blocks of DEPTH, those by panels of PANEL columns, row after row: a tile of the matrix, as large as the
   registers hold, reads two panels from end to end. */
#ifndef BATCH
#include <math.h>

typedef double packed __attribute__((vector_size(BYTES), aligned(8), may_alias)); /* as long as a vec */

enum { PL = BYTES / sizeof(double), PANEL = 3 * PL, COLUMNS = (NP + NX + PANEL - 1) / PANEL * PANEL, DEPTH = 192 };
#define WIDTH ((COLUMNS + 3 * VL - 1) / (3 * VL) * (3 * VL))

long variables(void) { return NP + NX; }
long columns(void) { return COLUMNS; }
long panel(void) { return PANEL; }
long depth(void) { return DEPTH; }

INLINE void push_tile(int high, const real *A, const real *S, double *B, real *out)
{
  for (int n = 0; n < WIDTH; n += 3 * VL) {
    vec sum[4][3];
    UNROLL for (int i = 0; i < high; i++)
      UNROLL for (int v = 0; v < 3; v++) {
        doubles *const from = (doubles *)(B + i * WIDTH + n + v * VL);
        sum[i][v] = __builtin_convertvector(*from, vec), *from = (doubles){0};
      }
    for (int j = 0; j < NX; j++)
      UNROLL for (int v = 0; v < 3; v++)
        UNROLL for (int i = 0; i < high; i++) sum[i][v] += A[i * NX + j] * GET(S + j * WIDTH + n + v * VL);
    UNROLL for (int i = 0; i < high; i++)
      UNROLL for (int v = 0; v < 3; v++) PUT(out + i * WIDTH + n + v * VL, sum[i][v]);
  }
}

/* out (rows, WIDTH) = A (rows, NX) S (NX, WIDTH) + B (rows, WIDTH), which is set to zero */
static void push(int rows, const real *A, const real *S, double *B, real *out)
{
  int i = 0;
  for (; i + 4 <= rows; i += 4) push_tile(4, A + i * NX, S, B + i * WIDTH, out + i * WIDTH);
  for (; i + 2 <= rows; i += 2) push_tile(2, A + i * NX, S, B + i * WIDTH, out + i * WIDTH);
  for (; i < rows; i++) push_tile(1, A + i * NX, S, B + i * WIDTH, out + i * WIDTH);
}

long jacobian_memory(void)
{
  const long numbers = PLACE((NX + NY) * NX) + 2 * PLACE((NX + NY) * WIDTH);
  return memory(1, 1) + numbers * sizeof(real) + (NX + NY) * WIDTH * sizeof(double);
}

/* From the state x, and S = dx/d(p, x0) (NX, COLUMNS), which are carried on: J the rows sqrt(w) dy/d(p, x0) of the
   samples that have a weight, and with their residuals r = sqrt(w) (y - Yref), r'r added to loss, J'r to g.

   S+ = A S + B, dy = C S + D: the rows of (A, B) and (C, D) are adjoints of unit vectors. */
void jacobian(real *memory, Inputs p, long T, double *x0, double *S0, const double *U, const double *Yref,
              const double *W, double *loss, double *g, long *rows, double *J)
{
  const double *const inputs[1] = {U}, *const starts[1] = {x0};
  double *const ends[1] = {x0};
  real *c = take(&memory, CONSTANTS), *row = take(&memory, ROW), *bars = take(&memory, BAR);
  real *A = take(&memory, (NX + NY) * NX), *S = take(&memory, (NX + NY) * WIDTH);
  real *next = take(&memory, (NX + NY) * WIDTH);
  double *B = (double *)memory;
  LOCAL(x, NX);
  LOCAL(x_bar, NX);
  LOCAL(y, NY);
  prepare(p, c);
  load(NX, 0, starts, x);
  for (int i = 0; i < NX; i++)
    for (int n = 0; n < WIDTH; n++) S[i * WIDTH + n] = n < COLUMNS ? (real)S0[i * COLUMNS + n] : 0;
  memset(B, 0, (NX + NY) * WIDTH * sizeof(double));
  *rows = 0;
  for (long k = 0; k < T; k++) {
    EACH(NX) PUT(row + T_x + i, GET(x + i));
    load(NU, k, inputs, row + T_u);
    forward(c, row, y, x);
    for (int i = 0; i < NX + NY; i++) {
      for (int j = 0; j < NX; j++) x_bar[j] = i == j;
      for (int j = 0; j < NY; j++) row[T_y_bar + j] = i == NX + j;
      back(c, row, bars, x_bar);
      collect(c, row, bars, 1, B + i * WIDTH);
      memcpy(A + i * NX, x_bar, NX * sizeof(real));
    }
    push(NX + NY, A, S, B, next);
    real *const before = S;
    S = next, next = before;
    for (int i = 0; i < NY; i++) {
      const double root = sqrt(W[k * NY + i]), r = root * (y[i] - Yref[k * NY + i]);
      if (root == 0) continue;
      double *to = J + *rows / DEPTH * DEPTH * COLUMNS + *rows % DEPTH * PANEL;
      const real *dy = S + (NX + i) * WIDTH;
      for (int n = 0; n < COLUMNS; n += PANEL, to += DEPTH * PANEL, dy += PANEL)
        UNROLL for (int v = 0; v < PANEL; v++) to[v] = root * dy[v], g[n + v] += r * to[v];
      *loss += r * r, ++*rows;
    }
  }
  store(NX, 0, x, ends);
  for (int i = 0; i < NX; i++)
    for (int n = 0; n < COLUMNS; n++) S0[i * COLUMNS + n] = S[i * WIDTH + n];
}

/* H (PL, PANEL) += a' b over so many rows of a panel */
static void tile(long rows, const double *a, const double *b, double *H)
{
  packed sum[PL][3];
  UNROLL for (int i = 0; i < PL; i++) UNROLL for (int v = 0; v < 3; v++) sum[i][v] = (packed){0};
  for (long k = 0; k < rows * PANEL; k += PANEL)
    UNROLL for (int i = 0; i < PL; i++)
      UNROLL for (int v = 0; v < 3; v++) sum[i][v] += a[k + i] * *(const packed *)(b + k + v * PL);
  UNROLL for (int i = 0; i < PL; i++)
    UNROLL for (int v = 0; v < 3; v++) *(packed *)(H + i * COLUMNS + v * PL) += sum[i][v];
}

/* H (COLUMNS, COLUMNS) += J'J: in the columns from .. to, each down to the diagonal. */
void squares(real *memory, long rows, const double *J, long from, long to, double *H)
{
  for (long k = 0; k < rows; k += DEPTH, J += DEPTH * COLUMNS)
    for (long n = from; n < to; n += PANEL)
      for (long m = 0; m < n + PANEL; m += PL)
        tile(rows - k < DEPTH ? rows - k : DEPTH, J + m / PANEL * PANEL * DEPTH + m % PANEL, J + n * DEPTH,
             H + m * COLUMNS + n);
}
#endif
