/* Whole records, over the generated step: prepare, forward, back, collect and the sizes NX NU NY NP ROW BAR CONSTANTS.

   The tape has a row of ROW numbers a step: state, input, what the adjoint needs, and the slopes of the loss in y. */
#define BLOCK 32 /* steps whose weight gradients are added as one matrix product */

typedef const double *const *Inputs; /* one pointer a record */
typedef double *const *Outputs;

#define PLACE(n) (((n) + 2 * VL - 1) / VL * VL) /* with room for a vector behind it */

long lanes(void) { return 2 * VL; }
long row_bytes(void) { return ROW * sizeof(real); }

/* Bytes of working memory for a tape of `segment` steps. The caller keeps it: fresh memory for each call costs more, by
   page faults, than short records take to simulate. */
long memory(long T, long segment)
{
  return (PLACE(CONSTANTS) + PLACE(segment * ROW) + PLACE((T / segment + 2) * SIZE(NX)) + PLACE(BLOCK * BAR)) * sizeof(real);
}

static real *take(real **memory, long n)
{
  real *place = *memory;
  *memory += PLACE(n);
  return place;
}

static void load(int n, long k, Inputs from, real *to)
{
  for (int i = 0; i < n; i++)
    for (int l = 0; l < LANES; l++) to[i * LANES + l] = (real)from[l][k * n + i];
}

static void store(int n, long k, const real *from, Outputs to)
{
  for (int i = 0; i < n; i++)
    for (int l = 0; l < LANES; l++) to[l][k * n + i] = from[i * LANES + l];
}

/* Of `records`, LANES at a time, of length T each. */
void simulate(real *memory, Inputs p, long records, const long *T, Inputs x0, Inputs U, Outputs X, Outputs Y)
{
  real *c = take(&memory, CONSTANTS), *row = take(&memory, ROW);
  LOCAL(x, NX);
  LOCAL(y, NY);
  prepare(p, c);
  for (long r = 0; r < records; r += LANES) {
    load(NX, 0, x0 + r, x);
    store(NX, 0, x, X + r);
    for (long k = 0; k < T[r]; k++) {
      EACH(NX) PUT(row + T_x + i, GET(x + i));
      load(NU, k, U + r, row + T_u);
      forward(c, row, y, x);
      store(NY, k, y, Y + r);
      store(NX, k + 1, x, X + r);
    }
  }
}

/* sum w (y - Yref)^2 of a step, and its slopes */
static double errors(long k, const real *y, Inputs Yref, Inputs W, real *y_bar)
{
  double loss = 0;
  for (int i = 0; i < NY; i++)
    for (int l = 0; l < LANES; l++) {
      const double w = W[l][k * NY + i], e = y[i * LANES + l] - Yref[l][k * NY + i];
      loss += w * e * e;
      y_bar[i * LANES + l] = (real)(2 * w * e);
    }
  return loss;
}

/* Steps `from` to `to`, starting in x and leaving the end in it; a tape of stride 0 forgets all but the last step. */
static double walk(const real *c, long from, long to, Inputs U, Inputs Yref, Inputs W, real *x, real *tape, long stride)
{
  double loss = 0;
  LOCAL(y, NY);
  for (long k = from; k < to; k++) {
    real *row = tape + (k - from) * stride;
    EACH(NX) PUT(row + T_x + i, GET(x + i));
    load(NU, k, U, row + T_u);
    forward(c, row, y, x);
    if (stride) loss += errors(k, y, Yref, W, row + T_y_bar);
  }
  return loss;
}

static void unwind(const real *c, long steps, const real *tape, real *bars, real *x_bar, double *G)
{
  for (long k = steps - 1; k >= 0; k--) {
    back(c, tape + k * ROW, bars + k % BLOCK * BAR, x_bar);
    if (k % BLOCK == 0) collect(c, tape + k * ROW, bars, steps - k < BLOCK ? (int)(steps - k) : BLOCK, G);
  }
}

/* Adds d/dp sum w (y - Yref)^2 to G, leaves d/dx0 in X_bar and the sum in loss.

   The tape holds `segment` steps; of a longer record the states between segments are kept, and each is run again. */
void loss_grad(real *memory, Inputs p, long T, long segment, Inputs x0, Inputs U, Inputs Yref, Inputs W, double *loss,
               double *G, Outputs X_bar)
{
  const long segments = (T + segment - 1) / segment;
  real *c = take(&memory, CONSTANTS), *tape = take(&memory, segment * ROW);
  real *marks = take(&memory, (segments + 1) * SIZE(NX)), *bars = take(&memory, BLOCK * BAR);
  LOCAL(x, NX);
  LOCAL(x_bar, NX);
  prepare(p, c);
  load(NX, 0, x0, x);
  for (long s = 0; s < segments; s++) {
    EACH(NX) PUT(marks + s * SIZE(NX) + i, GET(x + i));
    if (s + 1 < segments) walk(c, s * segment, (s + 1) * segment, U, Yref, W, x, tape, 0);
  }
  EACH(NX) PUT(x_bar + i, (vec){0});
  *loss = 0;
  for (long s = segments - 1; s >= 0; s--) {
    const long from = s * segment, to = from + segment < T ? from + segment : T;
    EACH(NX) PUT(x + i, GET(marks + s * SIZE(NX) + i));
    *loss += walk(c, from, to, U, Yref, W, x, tape, ROW);
    unwind(c, to - from, tape, bars, x_bar, G);
  }
  store(NX, 0, x_bar, X_bar);
}
