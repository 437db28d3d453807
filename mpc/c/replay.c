/* Replays a recorded closed loop through the controller: the same inputs to 1e-9 of their half box, the same statuses.
   Prints what it found, one number a line; returns 0 if the two agree. With a file's name, also that file's size. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "controller.h"

/*RECORD*/

static mpc_t m;

static long file_size(const char *name) {
  FILE *file = fopen(name, "rb");
  long size = -1;
  if (file && !fseek(file, 0, SEEK_END)) size = ftell(file);
  if (file) fclose(file);
  return size;
}

int main(int count, char **names) {
  double largest = 0, worst = 0, total = 0, u[MPC_NU];
  int differ = 0, at = -1;
  mpc_init(&m);
  START
  for (int k = 0; k < STEPS; ++k) {
    clock_t before = clock();
    READ(k)
    int status = STEP(&m, measured[k], wanted[k], u);
    double seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
    total += seconds;
    worst = fmax(worst, seconds);
    if (strcmp(mpc_status_name(status), names_of[k]) || m.ok != fine[k] || m.reachable != reached[k]) ++differ;
    for (int i = 0; i < MPC_NU; ++i) {
      double gap = fabs(u[i] - applied[k][i]) / half[i];
      if (!(gap <= largest)) largest = gap, at = k;
    }
  }
  printf("steps %d\nlargest_difference %.3g\nat_step %d\nstatuses_that_differ %d\n", STEPS, largest, at, differ);
  printf("mean_step_s %.3g\nworst_step_s %.3g\nmemory_bytes %lu\n", total / STEPS, worst, (unsigned long)sizeof m);
  if (count > 1) printf("object_bytes %ld\n", file_size(names[1]));
  return !(largest <= 1e-9) || differ;
}
