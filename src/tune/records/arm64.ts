/** Made by `npm run tune:arm`; see `shipped-costs.ts`. */
export const arm64Records = "";
