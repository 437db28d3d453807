/* tanh of many numbers at once, to an error of 3e-16, in loops that a compiler turns into vectors.

     y = 2 |x|,  y = k ln 2 + r,  e = exp(y) - 1 = 2^k (exp(r) - 1) + (2^k - 1),  tanh |x| = e / (e + 2)

   exp(r) - 1 by Taylor's series up to r^13, for |r| <= ln(2) / 2. */
#define AT_ONCE 16
static void tanh_block(double *x) {
  double y[AT_ONCE], r[AT_ONCE], power[AT_ONCE];
  int k[AT_ONCE];
  for (int i = 0; i < AT_ONCE; ++i) y[i] = fabs(2 * x[i]) < 44 ? fabs(2 * x[i]) : 44;
  for (int i = 0; i < AT_ONCE; ++i) k[i] = (int) (y[i] * 1.4426950408889634 + 0.5);
  for (int i = 0; i < AT_ONCE; ++i) {
    long long bits = (long long) (k[i] + 1023) << 52;
    memcpy(power + i, &bits, sizeof bits);
  }
  for (int i = 0; i < AT_ONCE; ++i) r[i] = (y[i] - k[i] * 0x1.62e42fee00000p-1) - k[i] * 0x1.a39ef35793c76p-33;
  for (int i = 0; i < AT_ONCE; ++i) {
    double t = r[i], p = 1 / 6227020800.;
    p = p * t + 1 / 479001600.;
    p = p * t + 1 / 39916800.;
    p = p * t + 1 / 3628800.;
    p = p * t + 1 / 362880.;
    p = p * t + 1 / 40320.;
    p = p * t + 1 / 5040.;
    p = p * t + 1 / 720.;
    p = p * t + 1 / 120.;
    p = p * t + 1 / 24.;
    p = p * t + 1 / 6.;
    p = p * t + 0.5;
    p = t + p * t * t;
    double e = power[i] * p + (power[i] - 1);
    x[i] = x[i] != x[i] ? x[i] : copysign(e / (e + 2), x[i]);
  }
}

NOINLINE static void tanh_all(int n, const double *from, double *to) {
  double x[AT_ONCE] = {0};
  for (; n >= AT_ONCE; n -= AT_ONCE, from += AT_ONCE, to += AT_ONCE) {
    memcpy(x, from, sizeof x);
    tanh_block(x);
    memcpy(to, x, sizeof x);
  }
  if (!n) return;
  memcpy(x, from, n * sizeof *x);
  tanh_block(x);
  memcpy(to, x, n * sizeof *x);
}
