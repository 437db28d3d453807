/* What the search for a steady-state target is given, and keeps in memory. */
typedef struct {
  int count, tracked[NY];
  double Q[NY], low[NU], high[NU], share[NY];
} TargetSettings;
typedef struct {
  double f[NX], y[NY], J[NX * NZ], C[NY][NX], M[NZ * NZ], L[NZ * NZ], Z[NU * NZ], G[NY * NU];
  double residual[NX + NY], step[NZ], z[NZ], gradient[NU], convex[NU * NU], curved[NU * NU];
  int pivot[NZ];
} Target;
