/* A model predictive controller with its observer: fixed memory, no heap, nothing to link but the maths library.
   Call mpc_init once and mpc_step once a sampling time; u is held until the next. Every u is finite, in its box and,
   from one to the next, within its rates, whatever happened. All quantities are in physical units. */
#ifndef MPC_CONTROLLER_H
#define MPC_CONTROLLER_H

/*SIZES*/

/*TYPES*/

/* How an input came about: the rungs of the ladder, best first. */
enum {
  MPC_SOLVED,
  MPC_SOLVED_ON_PREDICTION, /* a measurement is missing (NaN): the observer went on without it */
  MPC_REAL_TIME_ITERATION,
  MPC_BEST_ITERATE, /* no convergence, but better than the previous plan */
  MPC_SHIFTED_PLAN, /* the previous plan, one step on */
  MPC_STEADY_STATE_TARGET,
  MPC_LAST_INPUT
};

typedef struct {
  /* of the last step: read them as you like */
  int status, ok;       /* one of the above; ok: 0 if anything went wrong */
  int reachable;        /* the reference can be held at rest */
  int violated[NG];     /* outputs whose soft bounds the plan breaks, and behind them states that have bounds */
  int iterations;       /* of the solver */
  double cost;          /* of the plan, infinite without one */
  double u[NU];         /* input that is held */
  double d[NY];         /* estimated disturbance of the outputs */
  double u_plan[N][NU]; /* what the controller intends, from the step after on */
  double y_plan[N][NY]; /* and where that leads, without the disturbance's change */
  /* the controller's own */
  int started, has_u, has_plan, left, kept, target_ok, target_reached, read;
  double x[BX], y[NG], e[NY], d_n[NG], u_prev[BU], r[N + 1][NG], r_last[NY], key[2 * NG + NW], z[BZ], U[NV];
  double best[NV], A[BX * BX], T[BX * BX], P_end[BX * BX], w[NP * NW + 1];
/*OBSERVER*/
  Now now;
  Target target;
  TargetSettings sought;
  Work work;
} mpc_t;

void mpc_init(mpc_t *m);

/* Before the first step, where it is known: u0 (MPC_NU) was held so long that the process rests. With measured
   disturbances it must be known: outputs alone do not say which input held them. */
void mpc_hold(mpc_t *m, const double *u0);

/* Manual operation: u (MPC_NU) is applied by somebody else from now on. The next step starts from it, without a bump. */
void mpc_follow(mpc_t *m, const double *u);

#if MPC_NM
/* Before every step: measured disturbances w[rows][MPC_NM] from now on, one row a step, the last of
   which is held; MPC_NP of them are used. NaN is a value that is missing: the last one is kept. */
void mpc_measure(mpc_t *m, const double *w, int rows);
#endif

/* u (MPC_NU) for measurement y and reference r (MPC_NY); NaN in either is a value that is missing. Returns the status. */
int mpc_step(mpc_t *m, const double *y, const double *r, double *u);

/* The same, with references r[MPC_N + 1][MPC_NY] from now on, one row a step, one row after the other. */
int mpc_step_preview(mpc_t *m, const double *y, const double *r, double *u);

/* "solved", "shifted plan", ... */
const char *mpc_status_name(int status);

#endif
