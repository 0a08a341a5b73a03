// Loaded into the scheduler before it starts (`--import`): SIGUSR2 ends one of its threads without a word, as a crash would.
import { syncBuiltinESMExports } from 'node:module';
import threads from 'node:worker_threads';

if (threads.isMainThread) {
  const running = new Set<threads.Worker>();
  threads.Worker = class extends threads.Worker {
    constructor(...args: ConstructorParameters<typeof threads.Worker>) {
      super(...args);
      running.add(this);
      this.once('exit', () => running.delete(this));
    }
  };
  syncBuiltinESMExports();
  process.on('SIGUSR2', () => {
    const [victim] = running;
    void victim?.terminate();
    process.stderr.write(victim === undefined ? 'no thread to kill\n' : 'thread killed by the test\n');
  });
}
