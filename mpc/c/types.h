/* What the condensed solver keeps in memory; sizes are macros: N stages, NX states, NU inputs, NG outputs (entries of g), NB moves,
   NV = NB NU unknowns; SZ_ARG, SZ_RES, SZ_IW, SZ_W of the model's functions. Columns one after the other. */
#define NZ (NX + NU)
#define RATES (NB * NU)
#define ROWS (NV + RATES + N * NG)
typedef struct {
  double H[NV * NV], L[NV * NV], g[NV], d[NV], v[NV], w[NV];
  double low[ROWS], high[ROWS], JY[N * NG][NV];
  double M[ROWS][NV], G[ROWS][ROWS], K[ROWS][ROWS], nu[ROWS], next[ROWS], b[ROWS];
  int row[ROWS], side[ROWS], yields[ROWS], at_work[ROWS], count;
} QP;
typedef struct {
  double Q[NG], R[NU], S[NU], penalty[NG], u_low[NU], u_high[NU], fall[NU], rise[NU], y_low[NG], y_high[NG];
} Settings;
typedef struct {
  double x[NX], u_prev[NU], d[NG], r[N][NG], x_s[NX], u_s[NU], shift[NU], P[NX * NX], hold;
} Now;
typedef struct {
  QP q;
  double J[N][NX * NZ], C[N][NG * NX], Z[N + 1][NZ * NV], W[NZ * NZ], WZ[NZ * NV], T[NZ * NV], E[NV * NV], A[NV * NV], V[NV * NV];
  double x[N + 1][NX], y[N][NG], x_try[N + 1][NX], y_try[N][NG], U_try[NV], mu[N][NG], lam[NX], back[NX];
  double fw[SZ_W + 1];
  const double *arg[SZ_ARG + 1];
  double *res[SZ_RES + 1];
  long long iw[SZ_IW + 1];
} Work;
