/* What the search for a steady-state target is given, and keeps in memory. */
#define COUNTED (2 * NG)
typedef struct {
  int count, points, counted[COUNTED]; /* the first so many outputs have points to be at, the others intervals */
  double Q[COUNTED], low[NU], high[NU], rest[NU], share[NG]; /* rest: NAN where an input may rest anywhere */
} TargetSettings;
typedef struct {
  double f[NX], y[COUNTED], e[COUNTED], J[NX * NZ], C[COUNTED][NX], M[NZ * NZ], L[NZ * NZ], Z[NU * NZ], G[COUNTED * NU];
  double residual[NX + NG], step[NZ], steepest, z[NZ], gradient[NU], convex[NU * NU], curved[NU * NU];
  int pivot[NZ];
} Target;
