/* What the search for a steady-state target is given, and keeps in memory. BX, BU: sizes of the model without a register
   of measured disturbances, which are the last of its inputs; its functions are base_roll, base_cell and so on. */
#define BZ (BX + BU)
#define COUNTED (2 * NG)
typedef struct {
  int count, points, counted[COUNTED]; /* the first so many outputs have points to be at, the others intervals */
  int found;                           /* the first so many inputs are to be found, those behind are given: low */
  double Q[COUNTED], low[BU], high[BU], rest[BU], share[NG]; /* rest: NAN where an input may rest anywhere */
} TargetSettings;
typedef struct {
  double f[BX], y[COUNTED], e[COUNTED], J[BX * BZ], C[COUNTED][BX], M[BZ * BZ], L[BZ * BZ], Z[BU * BZ], G[COUNTED * BU];
  double residual[BX + NG], step[BZ], steepest, z[BZ], gradient[BU], convex[BU * BU], curved[BU * BU], bend[BU * BU];
  int pivot[BZ];
} Target;
