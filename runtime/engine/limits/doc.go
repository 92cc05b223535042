// Package limits holds the limits of tenants as values: the limits of one tenant (Tenant), of all
// of them (Set), and the settings that tenants make themselves (Own). It is pure: files and the API
// are the work of actors/overrides.
package limits
