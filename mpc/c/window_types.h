/* What moving horizon estimation keeps in memory: NF estimated numbers z = [x; d], WINDOW steps. */
#define SEEN ((WINDOW + 1) * NY)
typedef struct {
  double a[WINDOW + 1][NF], z[WINDOW + 1][NF], f[WINDOW][NF], r[WINDOW + 1][NY], cost;
} Track;
typedef struct {
  int steps; /* inputs in the window; the measurements are one more */
  double u[WINDOW][BU], y[WINDOW + 1][NY], prior[NF];
  /* of one update */
  Track at, to;
  double a[WINDOW + 1][NF], P[NF * NF], J[WINDOW][BX * BX], C[SEEN][NF], G[SEEN][NF], K[SEEN * SEEN], b[SEEN], back[SEEN];
} Window;
