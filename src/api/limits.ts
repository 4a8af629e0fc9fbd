/**
 * Every bound of the door on one page. fastify's `bodyLimit` does not apply to Connect, Connect's own limits are off by default, and
 * Node enforces header deadlines only on servers that listen themselves; so each bound here is set where it works, and
 * `test/api/limits.test.ts` tries each at the bound, one over and far over.
 */
export const limits = {
  /** Bytes of one message: a run's start with its environment (which CI systems make large), a chunk of stdin, any unary request. */
  message: 512 * 1024,
  /** Bytes of stdin that are held for one job before its stream is read no further. */
  stdinWindow: 256 * 1024,
  /** Bytes of output that a client reads ahead of what it could write; more than a stream holds that is under way. */
  readAhead: 256 * 1024,
  /** Bytes of one request's headers, and how many of them. */
  headerBytes: 16 * 1024,
  headers: 64,
  /** Calls at a time on one connection. */
  streams: 32,
  /** Connections of one user to one socket; a host's runner holds one for each job that runs. */
  connectionsPerUser: 128,
  /** Connections to one socket. */
  connections: 512,
  /** Refusals of one user within a window that are answered at once; as many as the ledger records one by one. */
  refusals: 60,
  /** Milliseconds: that window, and how long the answer to each further refusal is held back. */
  refusalWindow: 60_000,
  hold: 1_000,
  /** What one user is told within that window of what a run would be granted: it costs the ledger an entry, and the user no token. */
  observations: 60,
  /** Calls of one connection that wait behind an answer which is held back, one second more each; one more is refused unseen. */
  waitingCalls: 4,
  /** Refusals of one process within the window, after which it is kept out for so many milliseconds. */
  refusalsOfProcess: 600,
  keptOut: 10_000,
  /** Milliseconds: for a connection's first byte, between two calls, and for headers. */
  idle: 10_000,
  /** Milliseconds for a request's body, and for a run's first message. */
  body: 10_000,
  /** Milliseconds: the longest timeout that a caller may state, for a run and for anything else. */
  runTimeout: 86_400_000,
  timeout: 60_000,
  /** Characters of a `who` or `why`. */
  words: 500,
  /** Entries or leases in one answer. */
  page: 1_000,
  /** Leaves in one message of a stream. */
  leaves: 256,
} as const;
