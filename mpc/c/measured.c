/* Measured disturbances, the last inputs of the model: w(k), ..., w(k + NP - 1) stand behind its states. The text of
   measured.py in C. */

#define COMPLETE 2 /* m->read: all values of now are there; 1: some are missing; 0: nothing was given */

#if NM
void mpc_measure(mpc_t *m, const double *w, int rows) {
  double last[NM];
  memcpy(last, m->w, sizeof last);
  m->read = COMPLETE;
  for (int k = 0; k < NP; ++k, w += k < rows ? NM : 0)
    for (int i = 0; i < NM; ++i) {
      double value = (w[i] - u_mid[NU + i]) / u_half[NU + i];
      if (isfinite(value)) last[i] = value;
      else if (!k) m->read = 1;
      m->w[k * NM + i] = last[i];
    }
  if (!m->started) memcpy(m->u_prev + NU, m->w, sizeof last);
}
#endif

/* 1 if no value is missing now; where none were given the last ones are held */
static int are_measured(mpc_t *m) {
  for (int k = 1; NM && !m->read && k < NP; ++k) memcpy(m->w + k * NW, m->w, NW * sizeof *m->w);
  int complete = !NM || m->read == COMPLETE;
  m->read = 0;
  return complete;
}

/* state and target of the horizon problem, with the register behind them */
static void place(mpc_t *m) {
  memcpy(m->now.x, m->x, sizeof m->x);
  memcpy(m->now.x + BX, m->w, NP * NW * sizeof *m->w);
  memcpy(m->now.x_s, m->z, sizeof m->x);
  for (int k = 0; k < NP; ++k) memcpy(m->now.x_s + BX + k * NW, m->w + (NP - 1) * NW, NW * sizeof *m->w);
}
