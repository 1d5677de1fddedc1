/** Of the range of what is expected. */
export const largestError = 1e-4;
