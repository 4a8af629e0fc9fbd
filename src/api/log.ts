/** What the door says to the operator: pino's shape, so that any pino logger fits. */
export interface DoorLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}
