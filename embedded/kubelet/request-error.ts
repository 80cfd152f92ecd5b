// A refusal of one HTTP request, with its status code.
export class RequestError extends Error {
  override name = 'RequestError';
  code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
