package migrations

import (
	"strconv"
	"strings"
)

// ServerOf gives the dialect and the number of a server's version, by the names that inventories have: 150004 of PostgreSQL
// 15.4, 80036 of MySQL 8.0.36, 101119 of MariaDB 10.11.19, whose dialect is MySQL's. The dialect is "" for engines that
// aren't known.
func ServerOf(engine, version string) (dialect string, number int) {
	var n [3]int
	for k, part := range strings.SplitN(version, ".", 3) {
		end := 0
		for end < len(part) && part[end] >= '0' && part[end] <= '9' {
			end++
		}
		n[k], _ = strconv.Atoi(part[:end])
	}
	switch strings.ToLower(engine) {
	case "postgres", "postgresql":
		return PostgreSQL, n[0]*10000 + n[1]
	case "mysql":
		return MySQL, n[0]*10000 + n[1]*100 + n[2]
	case "mariadb":
		if number = n[0]*10000 + n[1]*100 + n[2]; number < mariaDB {
			number = typicalMariaDB
		}
		return MySQL, number
	}
	return "", 0
}
