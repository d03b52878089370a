package machine

// layout says whether an opcode has a ModRM byte and how many bytes of
// immediate or branch displacement follow, before group looks at ModRM.
func layout(p prefix, op byte) (modrm bool, imm int, ok bool) {
	z := 4 // the SDM's Iz and Jz
	if p.operand && !p.wide {
		z = 2
	}
	switch {
	case p.vector > 0:
		return vexLayout(p, op)
	case p.table == 1:
		return layout0F(op)
	case p.table == 2:
		return true, 0, true
	case p.table == 3:
		return true, 1, true
	}
	switch {
	case op < 0x40:
		switch op & 7 {
		case 0, 1, 2, 3:
			return true, 0, true
		case 4:
			return false, 1, true
		case 5:
			return false, z, true
		}
		return false, 0, false
	case op < 0x50, op == 0x60, op == 0x61, op == 0x62, op == 0x82, op == 0x9A, op == 0xCE, op == 0xD4, op == 0xD5, op == 0xD6, op == 0xEA:
		return false, 0, false
	case op < 0x60:
		return false, 0, true
	case op < 0x80:
		return layoutMiddle(op, z)
	case op < 0x90:
		switch op {
		case 0x80, 0x83:
			imm = 1
		case 0x81:
			imm = z
		}
		return true, imm, true
	}
	return layoutUpper(p, op, z)
}

// layoutMiddle is 0x60 to 0x7F.
func layoutMiddle(op byte, z int) (modrm bool, imm int, ok bool) {
	switch {
	case op >= 0x70:
		return false, 1, true
	case op == 0x63:
		return true, 0, true
	case op == 0x68:
		return false, z, true
	case op == 0x69:
		return true, z, true
	case op == 0x6A:
		return false, 1, true
	case op == 0x6B:
		return true, 1, true
	}
	return false, 0, op >= 0x6C
}

// layoutUpper is 0x90 to 0xFF.
func layoutUpper(p prefix, op byte, z int) (modrm bool, imm int, ok bool) {
	switch {
	case op >= 0xA0 && op <= 0xA3:
		if p.address {
			return false, 4, true
		}
		return false, 8, true
	case op == 0xA8, op >= 0xB0 && op <= 0xB7, op == 0xCD, op >= 0xE0 && op <= 0xE7, op == 0xEB:
		return false, 1, true
	case op == 0xA9:
		return false, z, true
	case op >= 0xB8 && op <= 0xBF:
		if p.wide {
			return false, 8, true
		}
		return false, z, true
	case op == 0xC0, op == 0xC1, op == 0xC6:
		return true, 1, true
	case op == 0xC7:
		return true, z, true
	case op == 0xC2, op == 0xCA:
		return false, 2, true
	case op == 0xC8:
		return false, 3, true
	case op == 0xE8, op == 0xE9:
		return false, 4, true
	case op >= 0xD0 && op <= 0xD3, op >= 0xD8 && op <= 0xDF, op == 0xF6, op == 0xF7, op == 0xFE, op == 0xFF:
		return true, 0, true
	case op == 0xC4, op == 0xC5:
		return false, 0, false
	}
	return false, 0, true
}

// group adds the immediates that depend on ModRM: TEST in groups F6 and F7.
func group(p prefix, op, reg byte, imm int) int {
	if p.table == 0 && reg < 2 {
		switch op {
		case 0xF6:
			return 1
		case 0xF7:
			if p.operand && !p.wide {
				return 2
			}
			return 4
		}
	}
	return imm
}

func layout0F(op byte) (modrm bool, imm int, ok bool) {
	switch {
	case op >= 0x80 && op <= 0x8F:
		return false, 4, true
	case op >= 0x05 && op <= 0x09, op == 0x0B, op == 0x0E, op >= 0x30 && op <= 0x37, op == 0x77,
		op >= 0xA0 && op <= 0xA2, op >= 0xA8 && op <= 0xAA, op >= 0xC8 && op <= 0xCF:
		return false, 0, true
	case op == 0x04, op == 0x0A, op == 0x0C, op >= 0x24 && op <= 0x27, op == 0x38, op == 0x3A:
		return false, 0, false
	case op == 0x0F, op >= 0x70 && op <= 0x73, op == 0xA4, op == 0xAC, op == 0xBA, op == 0xC2, op >= 0xC4 && op <= 0xC6:
		return true, 1, true
	}
	return true, 0, true
}

// vexLayout is for VEX and EVEX: map 1 as after 0F, 2 as after 0F38, 3 as after
// 0F3A; 5 and 6 are EVEX's half precision numbers.
func vexLayout(p prefix, op byte) (modrm bool, imm int, ok bool) {
	switch p.table {
	case 1:
		if op == 0x77 {
			return false, 0, true
		}
		if op >= 0x70 && op <= 0x73 || op == 0xC2 || op >= 0xC4 && op <= 0xC6 {
			return true, 1, true
		}
		return true, 0, true
	case 2, 5, 6:
		return true, 0, true
	case 3:
		return true, 1, true
	}
	return false, 0, false
}
