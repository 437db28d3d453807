CFLAGS = -std=c99 -O2 -Wall -Wextra -Werror -pedantic

test: replay_test
	./replay_test controller.o

replay_test: replay_test.o controller.o
	$(CC) $(CFLAGS) replay_test.o controller.o -o $@ -lm

replay_test.o controller.o: controller.h

clean:
	rm -f replay_test replay_test.o controller.o
